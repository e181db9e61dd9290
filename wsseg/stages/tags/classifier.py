"""The stage of the tag classifier."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from wsseg.data.classes import is_only_tagged, tags_of
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.files import fingerprint
from wsseg.images import read_image
from wsseg.networks.checkpoints import save_network
from wsseg.networks.classifier import (
    build_classifier,
    load_classifier,
)
from wsseg.networks.tag_training import (
    TagBatches,
    average_precision,
    check_targets,
    soft_margin,
    tag_targets,
)
from wsseg.networks.train import TrainingModule
from wsseg.parallel import Skipped
from wsseg.runs.config import Config
from wsseg.runs.engine import map_samples
from wsseg.runs.labelling import samples_key
from wsseg.runs.names import CLASSIFIER
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.seeds.cam import find_activation
from wsseg.stages.training import fit_in_stage


def only_tagged(dataset: Dataset, split: str) -> Dataset:
    """Return the images of a split whose only annotations are tags."""
    samples = tuple(s for s in dataset.samples if s.split == split and is_only_tagged(s))
    return replace(dataset, samples=samples)


def train_classifier(run: Run, dataset: Dataset, tagged: Dataset) -> Stage | None:
    """Return the complete stage "classifier": a network trained on the tags of training images.

    The classes of all other annotations count as tags, too. The manifest has the average precision
    of each tag on the validation images with tags.

    Args:
        tagged: The images of ``only_tagged``.

    Returns:
        A stage with ``model.ckpt``; None if no image has only tags, or if ``cam.method`` needs
        no classifier.

    Raises:
        InputError: A tag is in every image, or no usable image has tags.
        DivergenceError: The loss is NaN or infinite.
    """
    config = run.config
    params = config.classifier.network(config.model)
    if not tagged.samples or find_activation(config.cam.method) is not None:
        return None
    dataset = _with_all_tags(dataset, config)
    train = [s for s in dataset.split(config.data.train) if s.tags is not None]
    val = _tagged_val(dataset, config)
    stage = run.stage(
        CLASSIFIER,
        samples=samples_key(train),
        val=samples_key(val),
        classes=list(dataset.classes),
        weights=fingerprint(Path(params.weights or "")),
        network=params,
        trainer=config.classifier.trainer,
        machine=config.machine.numerics,
        seed=config.seed,
    )

    def work() -> dict[str, Any]:
        readable, skipped = _readable(train, config)
        loss = _train(stage, readable, dataset.classes, config)
        precision = _precision(stage, _readable(val, config)[0], config)
        return {"skipped": skipped, "loss": loss, "average_precision": precision}

    stage.run(work)
    _log_precision(stage)
    return stage


def _with_all_tags(dataset: Dataset, config: Config) -> Dataset:
    """Return the images with tags in place of their annotations; see ``tags_of``."""
    tagged = {(s.split, s.id): replace(s, annotations=()) for s in dataset.samples}
    for result in map_samples(_tagged, dataset.samples, config):
        if isinstance(result, Skipped):
            log(f"{CLASSIFIER}: skipped {result.id}: {result.reason}")
        else:
            tagged[result.split, result.id] = result
    return replace(dataset, samples=tuple(tagged.values()))


def _tagged(sample: Sample) -> Sample:
    tags = tags_of(sample)
    return replace(sample, annotations=(tags,) if tags else ())


def _tagged_val(dataset: Dataset, config: Config) -> list[Sample]:
    if config.data.val is None:
        return []
    return [s for s in dataset.split(config.data.val) if s.tags is not None]


def _readable(samples: Sequence[Sample], config: Config) -> tuple[list[Sample], dict[str, str]]:
    """Return the images that can be decoded, and the reasons why others cannot, by id."""
    results = map_samples(_decode, samples, config)
    skipped = {result.id: result.reason for result in results if isinstance(result, Skipped)}
    for identity, reason in sorted(skipped.items()):
        log(f"{CLASSIFIER}: skipped {identity}: {reason}")
    return [s for s in samples if s.id not in skipped], dict(sorted(skipped.items()))


def _decode(sample: Sample) -> None:
    read_image(sample.image, sample.reading)


def _train(stage: Stage, tagged: list[Sample], classes: Classes, config: Config) -> list[float]:
    if not tagged:
        remedy = "tag some images, or set data.weak"
        raise InputError("training images", "tagged", "no usable image with tags", remedy)
    params, trainer = config.classifier.network(config.model), config.classifier.trainer
    for name in check_targets(tag_targets(tagged, classes), classes):
        log(f"{stage.name}: no training image has the tag {name!r}; it is not learned")
    lightning.seed_everything(config.seed, verbose=False)
    network = build_classifier(params, len(classes) - 1)
    training = TrainingModule(
        network,
        trainer,
        _objective,
        seed=config.seed,
        freeze_batch_norm=params.freeze_batch_norm,
    )
    batches = TagBatches(tagged, classes, params, trainer, seed=config.seed)
    loss = fit_in_stage(stage, training, batches, config)
    save_network(stage.path / "model.ckpt", "tag classifier", network, params, classes)
    return loss


def _objective(network: nn.Module, images: Tensor, targets: Tensor, _: float) -> Tensor:
    return soft_margin(network(images), targets)


def _precision(stage: Stage, val: list[Sample], config: Config) -> dict[str, float]:
    if not val:
        return {}
    classifier = load_classifier(stage.path / "model.ckpt", config.machine.device)
    scores = [torch.from_numpy(classifier.scores(read_image(s.image, s.reading))) for s in val]
    classes = classifier.classes
    return average_precision(torch.stack(scores), tag_targets(val, classes), classes)


def _log_precision(stage: Stage) -> None:
    if precision := stage.results["average_precision"]:
        mean, lowest = fmean(precision.values()), min(precision, key=precision.__getitem__)
        text = f"lowest {lowest!r} {precision[lowest]:.3f}"
        log(f"{stage.name}: mean average precision {mean:.3f}, {text}")
