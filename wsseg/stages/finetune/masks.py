"""The pixel-labelled images of a data set, and the network that is trained on them alone."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wsseg.data.classes import has_full_mask, is_full
from wsseg.data.constraints import labelled_pixels
from wsseg.data.example import read_sample_image
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.runs.config import Config
from wsseg.runs.labelling import ClassStats, label_images, samples_key
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.base_run import Base
from wsseg.stages.finetune.snapshots import Snapshots, snapshots_of
from wsseg.stages.training import labelled_pairs, train_on_pairs, training_stage


def masked(dataset: Dataset, config: Config) -> list[Sample]:
    """Return the training images that carry a full mask.

    Args:
        dataset: Samples with annotations.
        config: Names the training split.

    Returns:
        The pixel-labelled images.

    Raises:
        InputError: There is none.
    """
    found = [sample for sample in dataset.split(config.data.train) if has_full_mask(sample)]
    if not found:
        remedy = "list some images in data.masks, or lay masks over them with data.annotations"
        raise InputError("training images", "with masks for some of them", "none", remedy)
    return found


def without_mask(sample: Sample) -> Sample:
    """Return an image as if nobody had drawn its mask.

    Args:
        sample: The image.

    Returns:
        The same image with its other annotations.
    """
    return replace(sample, annotations=tuple(a for a in sample.annotations if not is_full(a)))


def mask_labels(run: Run, dataset: Dataset) -> Stage:
    """Return the stage "masks": label maps of the pixel-labelled images, as they were drawn.

    Args:
        run: The run.
        dataset: Samples with annotations.

    Returns:
        The complete stage.

    Raises:
        InputError: No image carries a mask, or none can be used.
    """
    samples = masked(dataset, run.config)
    stage = run.stage("masks", samples=samples_key(samples), classes=list(dataset.classes))
    drawn = partial(_drawn, n_classes=len(dataset.classes))
    return label_images(run, stage, drawn, samples)


def train_on_masks(run: Run, dataset: Dataset, masks: Stage) -> Base:
    """Train a network on the pixel-labelled images alone, in the stage "masks-only/model".

    Args:
        run: The run; ``config.model`` and ``config.trainer`` say how.
        dataset: Samples with annotations.
        masks: The stage of ``mask_labels``.

    Returns:
        The network, and what it was on the way where ``semi.reliable_first`` asks for that.

    Raises:
        InputError: Settings of the network or the trainer break a rule.
        DivergenceError: The loss is NaN or infinite.
    """
    config, classes = run.config, dataset.classes
    wants_snapshots = config.finetune.base is None and config.finetune.semi.reliable_first
    stage = training_stage(
        run, "masks-only/model", classes, labels=masks, snapshots=wants_snapshots
    )
    keep = Snapshots(stage.path, classes, config.model, config.trainer.steps)
    pairs = partial(labelled_pairs, masks, classes, masked(dataset, config))
    callbacks = [keep] if wants_snapshots else []
    stage = train_on_pairs(stage, pairs, classes, config, callbacks=callbacks)
    return Base(stage, earlier=snapshots_of(stage.path))


def _drawn(sample: Sample, n_classes: int) -> tuple[NDArray[np.uint8], ClassStats]:
    read_sample_image(sample)  # an image that cannot be read is skipped here
    return labelled_pixels(sample, n_classes), {}
