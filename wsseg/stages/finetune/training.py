"""The training on masks together with pseudo-labels or unlabelled images."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from wsseg.data.classes import has_full_mask
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.networks.batches import Steps
from wsseg.networks.checkpoints import save_network
from wsseg.networks.losses.registry import WeightedLosses
from wsseg.networks.semi.callbacks import CollapseAlarm, object_recall
from wsseg.networks.semi.params import SemiParams
from wsseg.networks.semi.training import PairedBatches, SemiTraining
from wsseg.networks.semi.views import ViewBatches
from wsseg.networks.train import TrainingModule
from wsseg.networks.training_data import TrainingBatches, TrainingPair
from wsseg.runs.config import Config
from wsseg.runs.labelling import samples_key
from wsseg.runs.names import FINETUNED, PRETRAINED, model_name
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.base_run import BaseRun
from wsseg.stages.finetune.filtering import thresholds_of
from wsseg.stages.finetune.unlabelled import rank_by_reliability, unlabelled_images
from wsseg.stages.labelled import check_objects, labelled_pairs
from wsseg.stages.training import (
    first_network,
    fit_in_stage,
    segmenter_of,
    supervised,
    train_on_pairs,
    training_stage,
)

# A few masks alone make a network forget what it learned before, unless it learns them slowly: at
# the full learning rates 27 masks cost it 13 points (docs/log.md, section 11).
_PRETRAIN_LR_FACTOR = 0.1
# Added to the seed, so that crops without masks are drawn independently of those with masks.
_SEED_OFFSET = 1_000_033


class Sources(NamedTuple):
    """Everything that a method can learn from.

    Attributes:
        first: The run.
        run: The run with the settings of the last training.
        base: The network to start from.
        predicted: The stage of ``predict_pseudo_labels``.
        calibration: The stage of ``calibrate``.
        filtered: The stage of ``filter_labels``.
    """

    first: Run
    run: Run
    dataset: Dataset
    base: BaseRun
    predicted: Stage
    calibration: Stage
    filtered: Stage


class Plan(NamedTuple):
    """The training of a method.

    Attributes:
        inputs: Everything the result depends on besides network and trainer.
        start: The network to start from.
        prepare: Images with masks -> the training and its batches.
    """

    inputs: dict[str, Any]
    start: Stage | None
    prepare: Callable[[Sequence[TrainingPair]], tuple[TrainingModule, Steps]]


def check_finetune_settings(config: Config) -> None:
    """Raise if settings of the fine-tuning contradict each other, before any work is done.

    Raises:
        InputError: The base is this run, the network would be calibrated on masks that it has
            learned, a semi-supervised training does not use the unlabelled images, or a folder is
            missing.
    """
    params = config.finetune
    if params.base == config.run_dir.absolute():
        remedy = "give this run a run_dir of its own"
        raise InputError("finetune.base", "another run", params.base, remedy)
    if params.base is None and params.filter.rule == "calibrated":
        rule, got = "another without finetune.base", "calibrated"
        remedy = "set it to global: the network has learned the masks that would measure it"
        raise InputError("finetune.filter.rule", rule, got, remedy)
    if params.method == "semi":
        _check_semi(params.semi, config.trainer.steps)


def _check_semi(semi: SemiParams, steps: int) -> None:
    if semi.burn_in >= steps:
        rule, remedy = f"below the {steps} steps of the training", "lower it or raise trainer.steps"
        raise InputError("finetune.semi.burn_in", rule, semi.burn_in, remedy)
    if not semi.strong_views and (semi.shrink or not semi.feature_view):
        rule = f"at least 1 {'with shrink' if semi.shrink else 'without feature_view'}"
        raise InputError("finetune.semi.strong_views", rule, 0, "set it to 1")
    if semi.extra and not semi.extra.is_dir():
        raise InputError("finetune.semi.extra", "a folder", semi.extra, "check the path")


def finetune(
    run: Run,
    dataset: Dataset,
    base: BaseRun,
    *,
    predicted: Stage,
    calibration: Stage,
    filtered: Stage,
) -> Stage:
    """Return the complete stage "finetuned/model", trained by ``config.finetune.method``.

    If the network collapses to the background, the training stops, the manifest has the step
    ("collapsed"), and the network of the base is the result.

    Raises:
        InputError: Settings break a rule, or the method has nothing to learn from.
        DivergenceError: The loss is NaN or infinite.
    """
    last = Run(run.path, _last_config(run.config))
    sources = Sources(run, last, dataset, base, predicted, calibration, filtered)
    method = run.config.finetune.method
    plan = METHODS[method](sources)
    stage = training_stage(
        last,
        model_name(FINETUNED),
        dataset.classes,
        plan.start,
        method=method,
        base=base.model,
        **plan.inputs,
    )
    stage.run(partial(_train, stage, plan, sources))
    if step := stage.results.get("collapsed"):
        log(f"{stage.name}: collapsed by step {step}; the base's network is the result")
    return stage


def _train(stage: Stage, plan: Plan, sources: Sources) -> dict[str, Any]:
    config, base = sources.run.config, sources.base.model
    samples = sources.dataset.split(config.data.train)
    check_objects(sources.filtered, samples, "correct the annotations or choose another seed")
    masked = _pairs(sources, sources.run, with_mask=True)
    checked = TrainingBatches(masked, config.model, config.trainer, seed=config.seed)
    training, batches = plan.prepare(masked)
    before = object_recall(segmenter_of(base).network, checked)
    alarm = CollapseAlarm(lambda: training.result, before, checked, config.trainer.steps, log)
    loss = fit_in_stage(stage, training, batches, config, [alarm], average=config.trainer.average)
    network = training.result if alarm.step is None else segmenter_of(base).network
    classes = sources.dataset.classes
    path, reading = stage.path / "model.ckpt", sources.run.config.data.reading
    save_network(path, "segmenter", network, config.model, classes, reading=reading)
    return {"loss": loss} | ({} if alarm.step is None else {"collapsed": alarm.step})


def _augment(sources: Sources) -> Plan:
    inputs = {"labels": sources.filtered, "share": sources.run.config.finetune.share}
    start = sources.base.model
    return Plan(inputs, start, partial(_prepare_augment, sources=sources, start=start))


def _prepare_augment(
    masked: Sequence[TrainingPair], sources: Sources, start: Stage | None
) -> tuple[TrainingModule, Steps]:
    config = sources.run.config
    others = _pairs(sources, sources.run, with_mask=False)
    pairs = repeat_masked(masked, others, config.finetune.share)
    return _prepare_supervised(pairs, sources.dataset.classes, config, start)


def repeat_masked(
    masked: Sequence[TrainingPair], others: Sequence[TrainingPair], share: float
) -> list[TrainingPair]:
    """Return all images, those with masks repeated until they are about a share of all.

    Args:
        masked: Images with masks, at least one.
        share: 0..1; the images are repeated a whole number of times, at least once.
    """
    times = round(share / (1 - share) * len(others) / len(masked))
    return [*(list(masked) * max(times, 1)), *others]


def _pretrain(sources: Sources) -> Plan:
    """Train on pseudo-labels in the stage "pretrained/model" with the run's own settings first."""
    run, classes, start = sources.first, sources.dataset.classes, sources.base.model
    stage = training_stage(run, model_name(PRETRAINED), classes, start, labels=sources.filtered)
    pairs = partial(_pairs, sources, run, with_mask=False)
    pretrained = train_on_pairs(stage, pairs, classes, run.config, start)
    prepare = partial(
        _prepare_supervised, classes=classes, config=sources.run.config, start=pretrained
    )
    return Plan({"labels": sources.filtered}, pretrained, prepare)


def _prepare_supervised(
    pairs: Sequence[TrainingPair], classes: Classes, config: Config, start: Stage | None
) -> tuple[TrainingModule, Steps]:
    training = supervised(first_network(config, classes, start), config)
    return training, TrainingBatches(pairs, config.model, config.trainer, seed=config.seed)


def _semi(sources: Sources) -> Plan:
    semi, start = sources.run.config.finetune.semi, sources.base.model
    samples = unlabelled_images(sources.run, sources.dataset, sources.base, sources.predicted)
    inputs = {"labels": sources.filtered, "semi": semi, "unlabelled": samples_key(samples)}
    prepare = partial(_prepare_semi, sources=sources, samples=samples, start=start)
    return Plan(inputs, start, prepare)


def _prepare_semi(
    masked: Sequence[TrainingPair], sources: Sources, samples: list[Sample], start: Stage | None
) -> tuple[TrainingModule, Steps]:
    config, classes = sources.run.config, sources.dataset.classes
    semi = config.finetune.semi
    threshold = torch.tensor(semi.min_confidence)
    if semi.threshold == "filter":
        threshold = torch.from_numpy(thresholds_of(sources.calibration))
    training = SemiTraining(
        first_network(config, classes, start),
        config.trainer,
        WeightedLosses(config.trainer, config.model),
        semi,
        threshold,
        seed=config.seed,
        freeze_batch_norm=config.model.freeze_batch_norm,
    )
    ranked, switch = samples, 0
    if semi.reliable_first:
        ranked = rank_by_reliability(sources.run, sources.base, samples)
        switch = (semi.burn_in + config.trainer.steps) // 2
    labelled = TrainingBatches(masked, config.model, config.trainer, seed=config.seed)
    early, late = (
        ViewBatches(
            images,
            len(classes),
            config.model,
            config.trainer,
            semi,
            seed=config.seed + _SEED_OFFSET,
        )
        for images in (ranked[: -(-len(ranked) // 2)], ranked)
    )
    return training, PairedBatches(labelled, early, late, switch)


METHODS: dict[str, Callable[[Sources], Plan]] = {
    "augment": _augment,
    "pretrain": _pretrain,
    "semi": _semi,
}
"""The methods that use more than the masks, by name."""


def _pairs(sources: Sources, run: Run, *, with_mask: bool) -> list[TrainingPair]:
    samples = sources.dataset.split(run.config.data.train)
    chosen = [sample for sample in samples if has_full_mask(sample) == with_mask]
    return labelled_pairs(sources.filtered, sources.dataset.classes, chosen)


def _last_config(config: Config) -> Config:
    """Return the settings of the last training."""
    trainer = config.trainer
    factor = _PRETRAIN_LR_FACTOR if config.finetune.method == "pretrain" else 1.0
    changed = {
        "encoder_lr": trainer.encoder_lr * factor,
        "decoder_lr": trainer.decoder_lr * factor,
    }
    return config.model_copy(update={"trainer": trainer.model_copy(update=changed)})
