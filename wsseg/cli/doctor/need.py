"""How much disk a run will take, from its settings and its images' sizes.

The constants are those of real runs, see docs/log.md; what a run takes is between two thirds and
all of what is said here.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from wsseg.data.model import Dataset, Sample
from wsseg.networks.classifier import classifier_outline
from wsseg.networks.params import TrainingParams
from wsseg.networks.segmenter import network_outline
from wsseg.runs.config import Config
from wsseg.seeds.cam import find_activation
from wsseg.seeds.params import CAMParams
from wsseg.stages.tags.mixture import only_tagged

SPARE = 1.1
"""Times what was measured: better a tenth too much than a run that stops."""

_BLOCK = 4096  # bytes of a file system, of which a file takes whole ones
_EDGES = 7.0  # bytes of a label map a pixel of its side: what is stored is where labels change
_RULES = 9.0
_SURE = 11.0  # bytes of a map of confidence a pixel ^ 2/3
_SCORE = 1.8  # bytes a pixel of 16-bit scores, compressed
_TABLES = 60_000, 250  # bytes of a stage's tables, and of each image in them
_PAGE = 5_000_000  # bytes of a report without images
_PICTURES, _PICTURE = 12, 40_000  # images in its gallery, bytes of a picture
_SHOWN_SIDE = 280  # pixels on the page of all images
_PHOTO, _SHOWN_MAP = 0.48, 900  # bytes a pixel shown, and of a map
_SCENE = 3.0  # bytes a pixel of a generated scene
_FLOAT = 4  # bytes
_TENSOR = 360  # bytes beside the numbers of a tensor
_MOMENTS = 2  # numbers that the optimizer keeps of each that trains


class Written(NamedTuple):
    """What a pipeline writes, in stages.

    Attributes:
        labels: Of label maps of the training images.
        rules: Of these, those that tell which rule made each pixel.
        predictions: Of label maps of the validation images.
        networks: Trained segmenters.
        scores: Of scores of the training images' pixels.
    """

    labels: int
    rules: int
    predictions: int
    networks: int
    scores: int = 0


def need_of(config: Config, dataset: Dataset) -> dict[str, float]:
    """Return the bytes that a run will take, those that it gives back again included.

    Args:
        config: The resolved settings, of a shipped pipeline.
        dataset: Its images.

    Returns:
        By what takes them.
    """
    training = dataset.split(config.data.train)
    validation = dataset.split(config.data.val) if config.data.val else ()
    written = _written(config)
    networks, checkpoints = _networks(config, dataset, written)
    report = _report(written, training)
    parts = {
        "labels": _labels(written, training, validation),
        "activation maps": _activations(config, dataset),
        "networks": networks,
        "report": report,
        "checkpoints while training": max(0.0, checkpoints - report),  # there is no report yet
        "scenes": _scenes(config, dataset),
    }
    return {name: SPARE * size for name, size in parts.items()}


def tag_images(config: Config, dataset: Dataset) -> Sequence[Sample]:
    """Return the training images whose first labels come from a classifier of tags.

    Args:
        config: The resolved settings.
        dataset: Its images.

    Returns:
        All of pipeline "tags", of "mixed" those that are only tagged, else none.
    """
    if config.pipeline == "tags":
        return dataset.split(config.data.train)
    mixed = config.pipeline == "mixed"
    return only_tagged(dataset, config.data.train).samples if mixed else ()


def trains_classifier(config: Config, dataset: Dataset) -> bool:
    """Return whether a run trains a classifier of tags.

    Args:
        config: The resolved settings.
        dataset: Its images.

    Raises:
        InputError: ``cam.method`` is unknown.
    """
    return bool(tag_images(config, dataset)) and find_activation(config.cam.method) is None


def _written(config: Config) -> Written:
    rounds = len(config.rounds.numbers)
    if config.pipeline == "full":
        return Written(1, 0, 1, 1)
    if config.pipeline != "finetune":
        return Written(1 + rounds, rounds if config.rounds.clean else 0, rounds, rounds)
    settings = config.finetune
    alone = int(settings.base is None or settings.masks_only or settings.method == "supervised")
    if settings.method == "supervised":
        return Written(1, 0, alone, alone)
    last = 1 + (settings.method == "pretrain")
    return Written(4, 1, alone + 1, alone + last, 1)


def _labels(written: Written, training: Sequence[Sample], val: Sequence[Sample]) -> float:
    maps = written.labels * sum(_stored(_EDGES * side) for side in _sides(training))
    rules = written.rules * sum(_stored(_RULES * side) for side in _sides(training))
    scores = written.scores * sum(_stored(_SCORE * side**2) for side in _sides(training))
    predicted = sum(_stored(_EDGES * s) + _stored(_SURE * s ** (4 / 3)) for s in _sides(val))
    tables = written.labels * _tables(training) + written.predictions * _tables(val)
    return maps + rules + scores + written.predictions * predicted + tables


def _tables(samples: Sequence[Sample]) -> float:
    return _TABLES[0] + _TABLES[1] * len(samples)


def _activations(config: Config, dataset: Dataset) -> float:
    """Maps of the tags of each image, and labels of which the affinity network learns."""
    samples, cam = tag_images(config, dataset), config.cam
    times = 1 + (cam.affinity != "none")
    maps = times * sum(_stored(_maps(sample, cam)) for sample in samples)
    if cam.affinity != "learned":
        return maps
    return maps + sum(_stored(_EDGES * side) for side in _sides(samples))


def _maps(sample: Sample, cam: CAMParams) -> float:
    cells = math.prod(-(-side // cam.stride) for side in sample.size)
    return _SCORE * cells * max(1, len(sample.tagged))


def _networks(config: Config, dataset: Dataset, written: Written) -> tuple[int, int]:
    """Bytes that stay of all, and of what the largest training resumes from, which go again."""
    segmenter = network_outline(config.model, len(dataset.classes))
    stay = written.networks * _weights(segmenter)
    checkpoints = [_checkpoint(segmenter, config.trainer)]
    if trains_classifier(config, dataset):
        classifier = classifier_outline(config.classifier)
        stay += _weights(classifier) * (1 + (config.cam.affinity == "learned"))
        checkpoints.append(_checkpoint(classifier, config.classifier.trainer))
    return stay, max(checkpoints)


def _weights(network: nn.Module) -> int:
    return sum(_FLOAT * tensor.numel() + _TENSOR for tensor in network.state_dict().values())


def _checkpoint(network: nn.Module, trainer: TrainingParams) -> int:
    """The last two of a training, which go when its network has been written."""
    times = min(2, trainer.steps // trainer.checkpoint_every)
    trained = sum(_FLOAT * p.numel() + _TENSOR for p in network.parameters() if p.requires_grad)
    kept = 1 if trainer.average is None else 2
    return times * (kept * _weights(network) + _MOMENTS * trained)


def _report(written: Written, training: Sequence[Sample]) -> float:
    maps = written.labels + written.rules + 1
    gallery = min(_PICTURES, len(training)) * (written.labels + 2) * _PICTURE
    shown = (min(1.0, _SHOWN_SIDE / max(s.size)) ** 2 * math.prod(s.size) for s in training)
    return _PAGE + gallery + sum(_stored(_PHOTO * area + _SHOWN_MAP * maps) for area in shown)


def _scenes(config: Config, dataset: Dataset) -> float:
    """The data set itself, where the run makes it."""
    if config.data.format != "scenes" or config.data.root.exists():
        return 0
    return sum(_stored(_SCENE * side**2) + 2 * _BLOCK for side in _sides(dataset.samples))


def _sides(samples: Sequence[Sample]) -> list[float]:
    """Side of the square of as many pixels, of each image."""
    return [math.sqrt(math.prod(sample.size)) for sample in samples]


def _stored(size: float) -> float:
    """What a file takes on a disk that gives whole blocks."""
    return max(_BLOCK, size + _BLOCK / 2)
