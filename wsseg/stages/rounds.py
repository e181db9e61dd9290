"""Simple Does It: label from annotations, train, predict the training images, clean, repeat."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.cleaning import Cleaned, clean
from wsseg.data.agreement import annotation_agreement
from wsseg.data.constraints import Constraints, labelled_pixels
from wsseg.data.example import Example, example_of
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.files import fingerprint
from wsseg.labelmaps import IGNORE, read_label_map, write_confidence, write_label_map
from wsseg.metrics.confidence import mean_confidence
from wsseg.refine.refiners import Refine, find_refiner
from wsseg.refine.scores import normalise
from wsseg.runs.config import Config
from wsseg.runs.labelling import (
    ClassStats,
    confidence_path,
    label_images,
    label_path,
    merge,
    samples_key,
    usable_samples,
)
from wsseg.runs.names import SEEDS, labels_name, model_name, round_name, val_name
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.runs.stats import read_stats
from wsseg.seeds.apply import Seed, find_seed
from wsseg.stages.training import (
    labelled_pairs,
    segmenter_of,
    train_on_pairs,
    training_stage,
)


def seed_labels(run: Run, dataset: Dataset, ready: Stage | None = None) -> Stage:
    """Return the stage "seeds": first label maps of the training images.

    Args:
        run: The run; ``config.seeds`` says how.
        dataset: Samples with annotations.
        ready: A stage of label maps of some images, which are taken as they are.

    Returns:
        The complete stage.
    """
    config, samples = run.config, dataset.split(run.config.data.train)
    seed = find_seed(config.seeds)
    stage = run.stage(
        SEEDS,
        seeds=config.seeds,
        given=_given_files(config, samples),
        ready=ready,
        samples=samples_key(samples),
        classes=list(dataset.classes),
        seed=config.seed,
    )
    label = partial(_seed, seed=seed, base=config.seed, n_classes=len(dataset.classes), ready=ready)
    return label_images(run, stage, label, samples)


def train_segmenter(
    run: Run, dataset: Dataset, labels: Stage, number: int, previous: Stage | None = None
) -> Stage:
    """Return the stage "round-N/model": a network trained on a stage's label maps.

    Images whose label map is all IGNORE take no part.

    Args:
        run: The run; ``config.model`` and ``config.trainer`` say how.
        dataset: Its training images.
        labels: A complete stage of label maps.
        number: The round, from 1.
        previous: The last round's model, to continue from unless ``rounds.restart``.

    Returns:
        The complete stage; its folder holds ``model.ckpt``.

    Raises:
        InputError: Settings of the network or the trainer break a rule, or every pixel of the
            label maps is IGNORE.
        DivergenceError: The loss is NaN or infinite.
    """
    run = _of_round(run, number)
    config = run.config
    start = None if config.rounds.restart else previous
    stage = training_stage(
        run, model_name(round_name(number)), dataset.classes, start, labels=labels
    )
    pairs = partial(labelled_pairs, labels, dataset.classes, dataset.split(config.data.train))
    return train_on_pairs(stage, pairs, dataset.classes, config, start)


def clean_labels(run: Run, dataset: Dataset, model: Stage, seeds: Stage) -> Stage:
    """Return the stage "round-N": predictions on the training images, cleaned by what is known.

    Beside the label maps lie ``rules/<id>.png``, maps of ``wsseg.cleaning.RULES``; the statistics
    have "boxes", "resets" and "restored", "kept" (share of the class that is as the network
    predicted it; without cleaning the share that is permitted), "confidence", and "agreement" of
    the network's prediction with the annotations.

    Args:
        run: The run; ``config.rounds``, ``crf`` or ``par``, and ``prediction`` say how.
        dataset: Samples with annotations.
        model: The round's trained network.
        seeds: The first label maps, that reset boxes go back to.

    Returns:
        The complete stage, in whose folder that of the model lies.
    """
    config = run.config
    samples = usable_samples(seeds, dataset.split(config.data.train))
    refiner = find_refiner(config.rounds.refiner, config.crf)
    stage = run.stage(
        labels_name(model.name),
        model=model,
        seeds=seeds,
        samples=samples_key(samples),
        rules=config.rounds.model_dump(include={"clean", "reset_iou", "min_island"}),
        refiner=refiner.key,
        prediction=config.prediction,
    )
    if config.rounds.clean and not stage.is_complete:
        refiner.prepare()
    relabel = partial(
        _relabel,
        config=config,
        model=model,
        seeds=seeds,
        refine=refiner.refine,
        rules=stage.path / "rules",
    )
    return label_images(run, stage, relabel, samples, seeds.skipped)


def predict_val(run: Run, dataset: Dataset, model: Stage) -> Stage | None:
    """Return the stage "round-N/val": the network's label maps of the validation images.

    Beside them lie ``confidence/<id>.png``: how sure it is of each pixel. The statistics have
    "agreement" with the weak annotations, which change no label here.

    Args:
        run: The run; ``config.prediction`` says how.
        dataset: Its validation images.
        model: A trained network.

    Returns:
        The complete stage, None where the configuration names no validation split.
    """
    config = run.config
    if config.data.val is None:
        return None
    samples = dataset.split(config.data.val)
    stage = run.stage(
        val_name(labels_name(model.name)),
        model=model,
        samples=samples_key(samples),
        prediction=config.prediction,
    )
    predict = partial(_predict, config=config, model=model, stage=stage)
    return label_images(run, stage, predict, samples)


def _given_files(config: Config, samples: Sequence[Sample]) -> list[tuple[str, int, int]]:
    """Fingerprints of what the seed reads besides the data set: label maps, edge maps."""
    return [fingerprint(folder / f"{s.id}.png") for folder in config.seeds.folders for s in samples]


def _seed(
    sample: Sample, seed: Seed, base: int, n_classes: int, ready: Stage | None
) -> tuple[NDArray[np.uint8], ClassStats]:
    example = example_of(sample, n_classes)
    if ready and sample.id in ready.load(_image_ids):
        return example.constraints.project(read_label_map(label_path(ready, sample))), {}
    return seed(example, np.random.default_rng([base, *sample.id.encode()])), {}


def _relabel(
    sample: Sample, config: Config, model: Stage, seeds: Stage, *, refine: Refine, rules: Path
) -> tuple[NDArray[np.uint8], ClassStats]:
    segmenter = segmenter_of(model, config.machine.device)
    example = example_of(sample, len(segmenter.classes))
    scores = segmenter.predict(example.image, config.prediction)
    constraints = example.constraints
    best = scores.argmax(axis=0).astype(np.uint8)
    agrees = _agreement(best, example)
    if not config.rounds.clean:
        known = labelled_pixels(sample, len(segmenter.classes))
        label_map = np.where(known == IGNORE, best, known).astype(np.uint8)
        sure = _confidence(mean_confidence(label_map, scores, range(len(scores))))
        return label_map, merge(_permitted(label_map, constraints), sure, agrees)
    first_labels = read_label_map(label_path(seeds, sample))
    cleaned = clean(scores[constraints.classes], example, first_labels, config.rounds, refine)
    write_label_map(rules / f"{sample.id}.png", cleaned.rules_over(best))
    shares = normalise(scores[constraints.classes], constraints.allowed)
    sure = _confidence(mean_confidence(cleaned.label_map, shares, constraints.classes))
    return cleaned.label_map, merge(_facts(sample, cleaned), sure, agrees)


def _predict(
    sample: Sample, config: Config, model: Stage, stage: Stage
) -> tuple[NDArray[np.uint8], ClassStats]:
    segmenter = segmenter_of(model, config.machine.device)
    example = example_of(sample, len(segmenter.classes))
    scores = segmenter.predict(example.image, config.prediction)
    write_confidence(confidence_path(stage, sample), scores.max(axis=0))
    label_map = scores.argmax(axis=0).astype(np.uint8)
    try:
        return label_map, _agreement(label_map, example)
    except InputError:  # what cannot be compared with can be predicted all the same
        return label_map, {}


def _facts(sample: Sample, cleaned: Cleaned) -> ClassStats:
    rules = {label: {"kept": share} for label, share in cleaned.share("network").items()}
    facts: ClassStats = {}
    for box, reset in zip(sample.boxes, cleaned.resets, strict=True):
        of_class = facts.setdefault(box.label, {"boxes": 0, "resets": 0})
        of_class["boxes"] += 1
        of_class["resets"] += int(reset)
    for label in sample.tagged:
        facts.setdefault(label, {})["restored"] = int(label in cleaned.restored)
    return merge(rules, facts)


def _agreement(label_map: NDArray[np.uint8], example: Example) -> ClassStats:
    agreement = annotation_agreement(label_map, example)
    return {label: {"agreement": share} for label, share in agreement.items()}


def _confidence(shares: dict[int, float]) -> ClassStats:
    return {label: {"confidence": share} for label, share in shares.items()}


def _permitted(label_map: NDArray[np.uint8], constraints: Constraints) -> ClassStats:
    """Which part of each class the annotations permit: what the rules would keep."""
    held = constraints.project(label_map) == label_map
    classes = np.unique(label_map).tolist()
    return {label: {"kept": float(held[label_map == label].mean())} for label in classes}


def _of_round(run: Run, number: int) -> Run:
    config = run.config
    if number == 1 or config.rounds.loss is None:
        return run
    trainer = config.trainer.model_copy(update={"loss": config.rounds.loss})
    return Run(run.path, config.model_copy(update={"trainer": trainer}))


def _image_ids(folder: Path) -> frozenset[str]:
    return frozenset(read_stats(folder)["id"].to_pylist())
