"""Ground truth masks, hidden from training: no module that makes labels may import this one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import MaskFile, Regions
from wsseg.data.constraints import label_map_of
from wsseg.data.formats.table import read_raw
from wsseg.data.formats.views import view
from wsseg.data.load import read_base, read_weak, reading_files
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE


@dataclass(frozen=True)
class Truth:
    """The full masks of a data set, as the annotations of its images."""

    dataset: Dataset

    @property
    def classes(self) -> Classes:
        """The class names."""
        return self.dataset.classes

    @cached_property
    def _masks(self) -> dict[tuple[str, str], MaskFile | Regions]:
        masks = [
            ((sample.split, sample.id), annotation)
            for sample in self.dataset.samples
            for annotation in sample.annotations
            if isinstance(annotation, MaskFile | Regions)
        ]
        # In a split without polygons, an image without objects says nothing about masks.
        with_polygons = {split for (split, _), a in masks if isinstance(a, Regions) and a.items}
        return {
            (split, id): annotation
            for (split, id), annotation in masks
            if isinstance(annotation, MaskFile) or annotation.items or split in with_polygons
        }

    def samples(self, split: str) -> tuple[Sample, ...]:
        """Return the images of a split in the data set's order, also those without a mask.

        Raises:
            InputError: The split is empty or unknown.
        """
        return self.dataset.split(split)

    def with_mask(self, sample: Sample) -> Sample:
        """Return an image with its mask in place of its weak annotations, for ``true_label_map``.

        Raises:
            InputError: The image has no mask.
        """
        if not self.covers(sample):
            remedy = "add its mask or leave the image out"
            raise InputError(f"truth of {sample.id}", "a mask", "none", remedy)
        return replace(sample, annotations=(self._masks[sample.split, sample.id],))

    def covers(self, sample: Sample) -> bool:
        """Return whether an image has a mask, whatever its weak annotations."""
        return (sample.split, sample.id) in self._masks

    def label_map(self, sample: Sample) -> NDArray[np.uint8]:
        """Return the true label map of an image.

        Returns:
            (H, W) uint8; IGNORE where the truth is unknown, everywhere if there is no mask.

        Raises:
            InputError: The mask file is missing or damaged, has another size than the image, or
                contains classes that the data set does not have.
        """
        if not self.covers(sample):
            return np.full(sample.size, IGNORE, np.uint8)
        return true_label_map(self.with_mask(sample), len(self.classes))


def true_label_map(sample: Sample, n_classes: int) -> NDArray[np.uint8]:
    """Return the true label map of one image.

    Args:
        sample: An image whose only annotation is its mask, as ``Truth.with_mask`` returns it.
        n_classes: Number of classes of the data set, background included.

    Returns:
        (H, W) uint8; IGNORE where the truth is unknown.

    Raises:
        InputError: The mask file is missing or damaged, has another size than the image, or
            contains classes that the data set does not have.
        TypeError: The annotation is no mask.
    """
    (mask,) = sample.annotations
    if not isinstance(mask, MaskFile | Regions):
        raise TypeError(f"{sample.id} has {type(mask).__name__}, no mask")
    return label_map_of(mask, sample.size, n_classes)


@dataclass(frozen=True)
class LabelledData:
    """Two views of a data set: weak labels to learn from, and full masks to measure with.

    Code that makes labels receives ``dataset`` only.
    """

    dataset: Dataset
    truth: Truth


def load(data: DataParams) -> LabelledData:
    """Return the weak labels and the truth of a data set; each annotation file is opened once.

    Raises:
        InputError: As ``read_weak``.
    """
    with reading_files(data):
        raw = read_base(data)
        return LabelledData(read_weak(data, raw), Truth(view(raw, "masks")))


def read_truth(root: Path, format: str = "auto", splits: Sequence[str] | None = None) -> Truth:
    """Return the full masks of a data set on disk, which are decoded by ``Truth.label_map``.

    Arguments and errors are those of ``read_raw``.

    Raises:
        InputError: As ``read_raw``.
    """
    return Truth(view(read_raw(root, format, splits), "masks"))
