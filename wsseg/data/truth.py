"""Hidden pixel truth, for measuring only: nothing that makes labels may import this module."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import label_map_of
from wsseg.data.formats import read_dataset
from wsseg.data.model import Classes, Dataset, MaskFile, Regions, Sample
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE


@dataclass(frozen=True)
class Truth:
    """The full masks of a data set.

    Args:
        dataset: Read with ``use="masks"``.
    """

    dataset: Dataset

    @property
    def classes(self) -> Classes:
        """The class names."""
        return self.dataset.classes

    @cached_property
    def _masks(self) -> dict[tuple[str, str], MaskFile | Regions]:
        return {
            (sample.split, sample.id): drawn
            for sample in self.dataset.samples
            for drawn in sample.annotations
            if isinstance(drawn, MaskFile)
            or (isinstance(drawn, Regions) and (drawn.items or sample.split in self._outlined))
        }

    @cached_property
    def _outlined(self) -> set[str]:
        """Splits with outlines; without any, an image without objects says nothing of masks."""
        return {
            sample.split
            for sample in self.dataset.samples
            for drawn in sample.annotations
            if isinstance(drawn, Regions) and drawn.items
        }

    def samples(self, split: str) -> tuple[Sample, ...]:
        """Return the images of a split, those without a mask included.

        Args:
            split: Such as "val".

        Returns:
            The samples, in the data set's order.

        Raises:
            InputError: The split is empty or unknown.
        """
        return self.dataset.split(split)

    def with_mask(self, sample: Sample) -> Sample:
        """Return an image with its mask in place of its weak annotations.

        Args:
            sample: An image that is covered.

        Returns:
            The same image; ``true_label_map`` reads its truth without the rest of the data set.

        Raises:
            InputError: The image has no mask.
        """
        if not self.covers(sample):
            remedy = "add its mask or leave the image out"
            raise InputError(f"truth of {sample.id}", "a mask", "none", remedy)
        return replace(sample, annotations=(self._masks[sample.split, sample.id],))

    def covers(self, sample: Sample) -> bool:
        """Return whether an image has a mask.

        Args:
            sample: An image of the data set, whatever its annotations.

        Returns:
            True where its truth is known.
        """
        return (sample.split, sample.id) in self._masks

    def label_map(self, sample: Sample) -> NDArray[np.uint8]:
        """Return the true label map of an image.

        Args:
            sample: An image of the data set, whatever its annotations.

        Returns:
            (H, W) uint8; IGNORE where the truth is unknown, everywhere where there is no mask.

        Raises:
            InputError: The mask is damaged, of another size, or has unknown classes.
        """
        if not self.covers(sample):
            return np.full(sample.size, IGNORE, np.uint8)
        return true_label_map(self.with_mask(sample), len(self.classes))


def true_label_map(sample: Sample, n_classes: int) -> NDArray[np.uint8]:
    """Return the true label map of one image.

    Args:
        sample: Of ``Truth.with_mask``.
        n_classes: Classes of the data set, background included.

    Returns:
        (H, W) uint8; IGNORE where the truth is unknown.

    Raises:
        InputError: The mask is damaged, of another size, or has unknown classes.
    """
    (mask,) = sample.annotations
    if not isinstance(mask, MaskFile | Regions):
        raise TypeError(f"{sample.id} has {type(mask).__name__}, no mask")
    return label_map_of(mask, sample.size, n_classes)


def read_truth(root: Path, format: str = "auto", splits: Sequence[str] | None = None) -> Truth:
    """Return the full masks of a data set on disk.

    Args:
        root: The data set's folder.
        format: A key of ``READERS``, or "auto" to find out.
        splits: Their names; None reads all there are.

    Returns:
        The truth; masks are read when they are asked for.

    Raises:
        InputError: As ``read_dataset``.
    """
    return Truth(read_dataset(root, format, splits, use="masks"))
