"""The stages of the rounds: first labels, training, and cleaned predictions (Simple Does It)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsseg.cleaning import Cleaned, clean
from wsseg.data.agreement import annotation_agreement
from wsseg.data.classes import is_only_tagged
from wsseg.data.constraints import labelled_pixels
from wsseg.data.example import example_of
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.files import atomic_write, fingerprint
from wsseg.labelmaps import IGNORE, read_label_map, write_confidence, write_label_map
from wsseg.metrics.confidence import mean_confidence
from wsseg.refine.params import CleaningParams
from wsseg.refine.refiners import Refine, find_refiner
from wsseg.refine.scores import normalise
from wsseg.runs.config import Config
from wsseg.runs.labelling import (
    ClassStats,
    candidates_path,
    confidence_path,
    label_images,
    label_path,
    merge,
    refused_sentence,
    samples_key,
    usable_samples,
)
from wsseg.runs.names import SEEDS, is_round, labels_name, model_name, round_name, val_name
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.runs.stats import read_stats
from wsseg.seeds.apply import Seed, find_seed
from wsseg.seeds.contact_sheet import contact_sheet
from wsseg.stages.foundation import refiner_records, seed_records, sharing_batches
from wsseg.stages.labelled import check_objects, labelled_pairs, with_losses
from wsseg.stages.training import Predict, predictor_of, train_on_pairs, training_stage


def seed_labels(run: Run, dataset: Dataset, ready: Stage | None = None) -> Stage:
    """Return the complete stage "seeds": the first label maps of the training images.

    Args:
        ready: A stage with label maps of some of the images, which are copied.
    """
    config, samples = run.config, dataset.split(run.config.data.train)
    seed, models = find_seed(config.seeds, config.machine.device), seed_records(config, dataset)
    stage = run.stage(
        SEEDS,
        seeds=config.seeds.inputs,
        files=[fingerprint(f / f"{s.id}.png") for f in config.seeds.folders for s in samples],
        models=models,
        ready=ready,
        samples=samples_key(samples),
        classes=list(dataset.classes),
        seed=config.seed,
    )
    label = partial(
        _seed,
        seed=seed,
        base=config.seed,
        n_classes=len(dataset.classes),
        ready=ready,
        folder=stage.path,
    )
    batches = sharing_batches(models, config)
    label_images(run, stage, label, samples, models=models, batches=batches)
    if refused := refused_sentence(stage.path):
        log(f"{stage.name}: {refused}")
    return stage


def train_segmenter(
    run: Run, dataset: Dataset, labels: Stage, number: int, previous: Stage | None = None
) -> Stage:
    """Return the complete stage "round-N/model": a network trained on the label maps of a stage.

    Images whose label map is all IGNORE are left out.

    Args:
        labels: A complete stage of label maps.
        number: The round, from 1.
        previous: The network of the last round, to continue from unless ``rounds.restart``.

    Raises:
        InputError: Settings of the network or the trainer break a rule, or no pixel of the label
            maps has the label of an object.
        DivergenceError: The loss is NaN or infinite.
    """
    config = with_losses(run.config, labels)
    run = Run(run.path, config)
    start = None if config.rounds.restart else previous
    stage = training_stage(
        run, model_name(round_name(number)), dataset.classes, start, labels=labels
    )
    samples = dataset.split(config.data.train)
    check_objects(labels, samples, _remedy_without_objects(config, labels, samples))
    pairs = partial(labelled_pairs, labels, dataset.classes, samples)
    return train_on_pairs(stage, pairs, dataset.classes, config, start)


def _remedy_without_objects(config: Config, labels: Stage, samples: Sequence[Sample]) -> str:
    """Return what to do if the labels of a round show no object, by the likely cause."""
    if is_round(labels.name):
        return "the network has learned little: raise trainer.steps"
    if config.seeds.folder:
        return "if its masks hold 0 and 255, write the object's class number in place of 255"
    if any(map(is_only_tagged, samples)):
        return "the classifier has learned little: raise classifier.trainer.steps"
    return "look at the first labels in the report of this run, and choose another seeds.name"


def clean_labels(run: Run, dataset: Dataset, model: Stage, seeds: Stage) -> Stage:
    """Return the complete stage "round-N": cleaned predictions for the training images.

    ``rules/<id>.png`` are maps of ``wsseg.cleaning.RULES``. The statistics of a class are "boxes",
    "resets", "restored", "missed" (1 if the network predicts nothing of it), "kept" (the share of
    its pixels that the network predicted; without cleaning the share that the annotations allow),
    "confidence", and "agreement" of the prediction with the annotations.

    Args:
        model: The trained network of the round.
        seeds: The first label maps, which boxes are reset to.
    """
    config = run.config
    samples = usable_samples(seeds, dataset.split(config.data.train))
    refined_weight = 0.5 if model.name == model_name(round_name(1)) else 0.4  # see ``clean``
    sam, device = config.seeds.sam, config.machine.device
    refiner = find_refiner(config.rounds.refiner, config.crf, sam, device)
    models = refiner_records(config, config.rounds.refiner) if config.rounds.clean else {}
    stage = run.stage(
        labels_name(model.name),
        models=models,
        model=model,
        seeds=seeds,
        samples=samples_key(samples),
        rules=config.rounds.model_dump(include={"clean", *CleaningParams.model_fields}),
        refiner=refiner.key,
        refined_weight=refined_weight,
        prediction=config.prediction,
    )
    predict, n_classes = predictor_of(model, config), len(dataset.classes)
    label = partial(_keep, n_classes=n_classes, predict=predict)
    if config.rounds.clean:
        if not stage.is_complete:
            refiner.prepare()
        label = partial(
            _clean,
            n_classes=n_classes,
            predict=predict,
            seeds=seeds,
            params=config.rounds,
            refine=refiner.refine,
            refined_weight=refined_weight,
            rules=stage.path / "rules",
        )
    batches = sharing_batches(models, config)
    return label_images(run, stage, label, samples, seeds.skipped, models=models, batches=batches)


def predict_val(run: Run, dataset: Dataset, model: Stage) -> Stage | None:
    """Predict the validation images, unless that is done, in the stage "round-N/val" of a run.

    Its folder gets ``labels/<id>.png``, the predicted label maps, ``confidence/<id>.png``, the
    highest class probability of each pixel as a grayscale PNG (255 is 1), and ``stats.parquet``,
    whose "agreement" of each class with the weak annotations is that of ``annotation_agreement``.
    Annotations change no label here, unlike in ``clean_labels``.

    Args:
        run: The run, which is predicted with ``config.prediction``.
        dataset: A data set with the images of the split ``config.data.val``.
        model: The complete stage of a trained network.

    Returns:
        The complete stage, or None if ``config.data.val`` is not set.

    Raises:
        InputError: The split is unknown or empty, no image could be predicted, or one could not
            and the run is strict.
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
    predict = predictor_of(model, config)
    label = partial(_predict, n_classes=len(dataset.classes), predict=predict, stage=stage)
    return label_images(run, stage, label, samples)


def _seed(
    sample: Sample, *, seed: Seed, base: int, n_classes: int, ready: Stage | None, folder: Path
) -> tuple[NDArray[np.uint8], ClassStats]:
    example = example_of(sample, n_classes)
    if ready and sample.id in ready.load(_image_ids):
        return example.constraints.project(read_label_map(label_path(ready, sample))), {}
    labels = seed.label(example, np.random.default_rng([base, *sample.id.encode()]))
    if labels.candidates:
        with atomic_write(candidates_path(folder, sample.id)) as file:
            sheet = contact_sheet(example.image, labels.candidates)
            Image.fromarray(sheet).save(file, "jpeg", quality=80)
    return labels.label_map, merge(labels.stats)


def _keep(sample: Sample, n_classes: int, predict: Predict) -> tuple[NDArray[np.uint8], ClassStats]:
    """Label an image by the network alone, except for pixels that carry a label themselves."""
    example = example_of(sample, n_classes)
    scores = predict(example.image)
    best = scores.argmax(axis=0).astype(np.uint8)
    known = labelled_pixels(sample, n_classes)
    label_map = np.where(known == IGNORE, best, known).astype(np.uint8)
    allowed = example.constraints.project(label_map) == label_map
    classes = np.unique(label_map).tolist()
    return label_map, merge(
        _named("kept", {label: float(allowed[label_map == label].mean()) for label in classes}),
        _named("confidence", mean_confidence(label_map, scores, range(n_classes))),
        _named("agreement", annotation_agreement(best, example)),
    )


def _clean(
    sample: Sample,
    n_classes: int,
    predict: Predict,
    *,
    seeds: Stage,
    params: CleaningParams,
    refine: Refine,
    refined_weight: float,
    rules: Path,
) -> tuple[NDArray[np.uint8], ClassStats]:
    example = example_of(sample, n_classes)
    scores, constraints = predict(example.image), example.constraints
    best = scores.argmax(axis=0).astype(np.uint8)
    agreement = annotation_agreement(best, example)
    first_labels = read_label_map(label_path(seeds, sample))
    shares = scores[constraints.classes]
    cleaned = clean(shares, example, first_labels, params, refine, refined_weight=refined_weight)
    write_label_map(rules / f"{sample.id}.png", cleaned.rules_over(best))
    shares = normalise(shares, constraints.allowed)
    confidence = mean_confidence(cleaned.label_map, shares, constraints.classes)
    return cleaned.label_map, merge(
        _named("kept", cleaned.share("network")),
        _resets_and_restored(sample, cleaned),
        _named("missed", dict.fromkeys(cleaned.missed, 1)),
        _named("confidence", confidence),
        _named("agreement", agreement),
    )


def _predict(
    sample: Sample, n_classes: int, predict: Predict, stage: Stage
) -> tuple[NDArray[np.uint8], ClassStats]:
    example = example_of(sample, n_classes)
    scores = predict(example.image)
    write_confidence(confidence_path(stage, sample), scores.max(axis=0))
    label_map = scores.argmax(axis=0).astype(np.uint8)
    try:
        return label_map, _named("agreement", annotation_agreement(label_map, example))
    except InputError:  # Predictions do not need the annotations, which may be damaged.
        return label_map, {}


def _resets_and_restored(sample: Sample, cleaned: Cleaned) -> ClassStats:
    stats: ClassStats = {}
    for box, reset in zip(sample.boxes, cleaned.resets, strict=True):
        of_class = stats.setdefault(box.label, {"boxes": 0, "resets": 0})
        of_class["boxes"] += 1
        of_class["resets"] += int(reset)
    for label in sample.tagged:
        stats.setdefault(label, {})["restored"] = int(label in cleaned.restored)
    return stats


def _named(name: str, values: Mapping[int, float]) -> ClassStats:
    return {label: {name: value} for label, value in values.items()}


def _image_ids(folder: Path) -> frozenset[str]:
    return frozenset(read_stats(folder)["id"].to_pylist())
