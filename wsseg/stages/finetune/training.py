"""The last training: masks, together with what is known of the other images."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from wsseg.data.classes import has_full_mask
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.networks.batches import Steps
from wsseg.networks.params import SegmenterTrainingParams
from wsseg.networks.prediction import save_segmenter
from wsseg.networks.segmenter_objective import WeightedLosses
from wsseg.networks.semi.collapse import CollapseAlarm, objects_seen
from wsseg.networks.semi.training import PairedBatches, SemiTraining
from wsseg.networks.semi.views import ViewBatches
from wsseg.networks.train import TrainingModule
from wsseg.networks.training_data import TrainingBatches, TrainingPair
from wsseg.runs.config import Config
from wsseg.runs.labelling import samples_key
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.base_run import Base
from wsseg.stages.finetune.filtering import thresholds_of
from wsseg.stages.finetune.reliability import rank_by_reliability
from wsseg.stages.finetune.unlabelled import unlabelled_images
from wsseg.stages.training import (
    first_network,
    fit_in_stage,
    labelled_pairs,
    segmenter_of,
    supervised,
    train_on_pairs,
    training_stage,
)

_GENTLY = 0.1  # of the learning rates: a few masks alone make a network forget the rest
_OTHER_ORDER = 1_000_033  # added to the seed: crops without masks are not drawn as those with


class Sources(NamedTuple):
    """What the last training can learn from.

    Attributes:
        base: The network to go on from.
        predicted: The stage of ``label_surely``.
        calibration: The stage of ``calibrate``.
        filtered: The stage of ``filter_labels``.
    """

    base: Base
    predicted: Stage
    calibration: Stage
    filtered: Stage


class Plan(NamedTuple):
    """How a method trains.

    Attributes:
        inputs: What its result depends on, besides the network and the trainer.
        start: The network that it goes on from.
        prepare: Given the images with masks, returns the training and its batches.
    """

    inputs: dict[str, Any]
    start: Stage | None
    prepare: Callable[[Sequence[TrainingPair]], tuple[TrainingModule, Steps]]


def finetune(run: Run, dataset: Dataset, sources: Sources) -> Stage:
    """Return the stage "finetuned/model", by the method of the configuration.

    A network that has come to see nothing but background is never the result: its training stops,
    its manifest says at which step ("collapsed"), and the base's network is the result.

    Args:
        run: The run; ``config.finetune``, ``model`` and ``trainer`` say how.
        dataset: Samples with annotations.
        sources: What to learn from.

    Returns:
        The complete stage.

    Raises:
        InputError: Settings break a rule, or there is nothing that the method could learn from.
        DivergenceError: The loss is NaN or infinite.
    """
    last = Run(run.path, _with_last_trainer(run.config))
    method = run.config.finetune.method
    plan = METHODS[method](run, last, dataset, sources)
    stage = training_stage(
        last,
        "finetuned/model",
        dataset.classes,
        plan.start,
        method=method,
        base=sources.base.model,
        **plan.inputs,
    )
    pairs = partial(_pairs, last, dataset, sources.filtered, with_mask=True)
    stage.run(partial(_train, stage, plan, pairs, dataset.classes, last.config, sources.base))
    if step := stage.results.get("collapsed"):
        log(f"{stage.name}: collapsed by step {step}; the base's network is the result")
    return stage


def repeated(
    with_mask: Sequence[TrainingPair], without: Sequence[TrainingPair], share: float
) -> list[TrainingPair]:
    """Return images to train on, those with masks repeated.

    Args:
        with_mask: Images with masks, at least one.
        without: The others.
        share: What images with masks are to be of all; they are repeated a whole number of times.

    Returns:
        At least one of each.
    """
    times = round(share / (1 - share) * len(without) / len(with_mask))
    return [*(list(with_mask) * max(times, 1)), *without]


def _augment(_: Run, last: Run, dataset: Dataset, sources: Sources) -> Plan:
    config, start = last.config, _start(last.config, sources.base)

    def prepare(known: Sequence[TrainingPair]) -> tuple[TrainingModule, Steps]:
        others = _pairs(last, dataset, sources.filtered, with_mask=False)
        pairs = repeated(known, others, config.finetune.share)
        return _supervised(pairs, dataset.classes, config, start)

    return Plan({"labels": sources.filtered, "share": config.finetune.share}, start, prepare)


def _pretrain(run: Run, last: Run, dataset: Dataset, sources: Sources) -> Plan:
    """Learn the pseudo-labels first, in the stage "pretrained/model", by the trainer as it is."""
    config, classes, start = run.config, dataset.classes, _start(run.config, sources.base)
    stage = training_stage(run, "pretrained/model", classes, start, labels=sources.filtered)
    pairs = partial(_pairs, run, dataset, sources.filtered, with_mask=False)
    pretrained = train_on_pairs(stage, pairs, classes, config, start)

    def prepare(known: Sequence[TrainingPair]) -> tuple[TrainingModule, Steps]:
        return _supervised(known, classes, last.config, pretrained)

    return Plan({"labels": sources.filtered}, pretrained, prepare)


def _semi(_: Run, last: Run, dataset: Dataset, sources: Sources) -> Plan:
    config, classes, start = last.config, dataset.classes, _start(last.config, sources.base)
    semi = config.finetune.semi
    samples = unlabelled_images(last, dataset, sources.base, sources.predicted)
    inputs = {"labels": sources.filtered, "semi": semi, "unlabelled": samples_key(samples)}

    def prepare(known: Sequence[TrainingPair]) -> tuple[TrainingModule, Steps]:
        training = SemiTraining(
            first_network(config, classes, start),
            config.trainer,
            WeightedLosses(config.trainer, config.model),
            semi,
            _least(config, sources.calibration),
            seed=config.seed,
            freeze_batch_norm=config.model.freeze_batch_norm,
        )
        labelled = TrainingBatches(known, config.model, config.trainer, seed=config.seed)
        ranked, switch = samples, 0
        if semi.reliable_first:
            ranked = rank_by_reliability(last, sources.base, samples)
            switch = (semi.burn_in + config.trainer.steps) // 2
        views = partial(_views, n_classes=len(classes), config=config)
        half = ranked[: -(-len(ranked) // 2)]
        return training, PairedBatches(labelled, views(half), views(ranked), switch)

    return Plan(inputs, start, prepare)


METHODS: dict[str, Callable[[Run, Run, Dataset, Sources], Plan]] = {
    "augment": _augment,
    "pretrain": _pretrain,
    "semi": _semi,
}
"""Ways to use masks beside other labels, by name: (run, the run with the settings of the last
training, data set, sources) -> plan."""


def _supervised(
    pairs: Sequence[TrainingPair], classes: Classes, config: Config, start: Stage | None
) -> tuple[TrainingModule, Steps]:
    training = supervised(first_network(config, classes, start), config)
    return training, TrainingBatches(pairs, config.model, config.trainer, seed=config.seed)


def _views(samples: Sequence[Sample], n_classes: int, config: Config) -> ViewBatches:
    semi, trainer = config.finetune.semi, config.trainer
    if semi.batch_size:
        trainer = trainer.model_copy(update={"batch_size": semi.batch_size})
    return ViewBatches(
        samples,
        n_classes,
        config.model,
        trainer,
        semi.views,
        seed=config.seed + _OTHER_ORDER,
        gate=semi.gate,
    )


def _least(config: Config, calibration: Stage) -> torch.Tensor:
    if config.finetune.semi.threshold == "filter":
        return torch.from_numpy(thresholds_of(calibration))
    return torch.tensor(config.finetune.semi.confidence)


def _train(  # noqa: PLR0917 - a stage, its plan, and what every training receives
    stage: Stage,
    plan: Plan,
    pairs: Callable[[], Sequence[TrainingPair]],
    classes: Classes,
    config: Config,
    base: Base,
) -> dict[str, Any]:
    known = pairs()
    watched = TrainingBatches(known, config.model, config.trainer, seed=config.seed)
    training, batches = plan.prepare(known)
    before = objects_seen(segmenter_of(base.model).network, watched)
    alarm = CollapseAlarm(lambda: training.result, before, watched, config.trainer.steps, log)
    loss = fit_in_stage(stage, training, batches, config, [alarm])
    network = training.result if alarm.step is None else segmenter_of(base.model).network
    save_segmenter(stage.path / "model.ckpt", network, classes, config.model)
    return {"loss": loss} | ({} if alarm.step is None else {"collapsed": alarm.step})


def _pairs(run: Run, dataset: Dataset, filtered: Stage, *, with_mask: bool) -> list[TrainingPair]:
    samples = dataset.split(run.config.data.train)
    chosen = [sample for sample in samples if has_full_mask(sample) == with_mask]
    return labelled_pairs(filtered, dataset.classes, chosen)


def _start(config: Config, base: Base) -> Stage | None:
    return None if config.finetune.restart else base.model


def _with_last_trainer(config: Config) -> Config:
    trainer, settings = config.trainer, config.finetune
    rate = settings.rate or (_GENTLY if settings.method == "pretrain" else 1.0)
    changed = {
        "steps": settings.steps or trainer.steps,
        "encoder_lr": trainer.encoder_lr * rate,
        "decoder_lr": trainer.decoder_lr * rate,
    }
    last: SegmenterTrainingParams = trainer.model_copy(update=changed)
    return config.model_copy(update={"trainer": last})
