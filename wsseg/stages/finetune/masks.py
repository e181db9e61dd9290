"""Images with pixel masks, and the network that is trained on them alone."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wsseg.data.classes import has_full_mask, is_full
from wsseg.data.constraints import labelled_pixels
from wsseg.data.example import read_sample_image
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.networks.semi.callbacks import Snapshots
from wsseg.runs.config import Config
from wsseg.runs.labelling import ClassStats, label_images, samples_key
from wsseg.runs.names import MASKS, MASKS_ONLY, model_name
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.base_run import BaseRun
from wsseg.stages.labelled import check_objects, labelled_pairs
from wsseg.stages.training import train_on_pairs, training_stage


def samples_with_masks(dataset: Dataset, config: Config) -> list[Sample]:
    """Return the training images that carry a full mask.

    Raises:
        InputError: There is none.
    """
    samples = [sample for sample in dataset.split(config.data.train) if has_full_mask(sample)]
    if not samples:
        remedy = "list some images in data.masks, or lay masks over them with data.annotations"
        raise InputError("training images", "with masks for some of them", "none", remedy)
    return samples


def remove_full_mask(sample: Sample) -> Sample:
    """Return a copy of a sample without its full mask.

    All other annotations stay, also partial masks; no file is changed.
    """
    return replace(sample, annotations=tuple(a for a in sample.annotations if not is_full(a)))


def label_masks(run: Run, dataset: Dataset) -> Stage:
    """Write the masks as label maps, unchanged, and return the complete stage "masks".

    Raises:
        InputError: No image carries a mask, or none can be used.
    """
    samples = samples_with_masks(dataset, run.config)
    stage = run.stage(MASKS, samples=samples_key(samples), classes=list(dataset.classes))
    label = partial(_label, n_classes=len(dataset.classes))
    return label_images(run, stage, label, samples)


def train_supervised(run: Run, dataset: Dataset, masks: Stage) -> BaseRun:
    """Train a network on the masks alone, in the stage "masks-only/model".

    Args:
        masks: The stage of ``label_masks``.

    Returns:
        The network, and its snapshots if ``semi.reliable_first`` needs them.

    Raises:
        InputError: Settings of the network or the trainer break a rule.
        DivergenceError: The loss is NaN or infinite.
    """
    config, classes = run.config, dataset.classes
    wants_snapshots = config.finetune.base is None and config.finetune.semi.reliable_first
    stage = training_stage(
        run, model_name(MASKS_ONLY), classes, labels=masks, snapshots=wants_snapshots
    )
    snapshots = Snapshots(
        stage.path, classes, config.model, config.trainer.steps, reading=config.data.reading
    )
    samples = samples_with_masks(dataset, config)
    check_objects(masks, samples, "choose images whose masks show objects")
    pairs = partial(labelled_pairs, masks, classes, samples)
    callbacks = [snapshots] if wants_snapshots else []
    stage = train_on_pairs(stage, pairs, classes, config, callbacks=callbacks)
    return BaseRun(stage, earlier=tuple(sorted(stage.path.glob("snapshot-*.ckpt"))))


def _label(sample: Sample, n_classes: int) -> tuple[NDArray[np.uint8], ClassStats]:
    read_sample_image(sample)  # raises for a damaged image, which is then skipped
    return labelled_pixels(sample, n_classes), {}
