"""Label maps as annotation tools store them: connected regions, their boxes and run lengths."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy import ndimage
from skimage import measure

from wsseg.data.model import Sample

DIGITS = 4  # decimals of an estimate in a file


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image with its label map, as a writer receives it.

    Args:
        label_map: (H, W) uint8, IGNORE where unknown.
        estimates: Estimated IoU 0..1 of the labels by class, for classes where it is known.
    """

    sample: Sample
    label_map: NDArray[np.uint8]
    estimates: Mapping[int, float] = field(default_factory=dict)

    @property
    def quality(self) -> float | None:
        """Mean estimate of the classes, rounded; None if there is none."""
        return mean_estimate(self.estimates)

    @property
    def file_name(self) -> str:
        """Name of the image file in a data set that is written."""
        return f"{self.sample.id}{self.sample.image.suffix}"


def mean_estimate(estimates: Mapping[int, float]) -> float | None:
    """Return the mean of estimates by class, rounded; None if there is none.

    Example:
        >>> mean_estimate({1: 0.25, 4: 0.5})
        0.375
    """
    return round(fmean(estimates.values()), DIGITS) if estimates else None


@dataclass(frozen=True, eq=False)
class ConnectedRegion:
    """Pixels of one label that touch each other, corners included.

    Args:
        left, top: First column and row of the tight bounding box.
        mask: (h, w) bool inside the box.
    """

    label: int
    left: int
    top: int
    mask: NDArray[np.bool_]

    @property
    def width(self) -> int:
        """Pixels of the bounding box."""
        return int(self.mask.shape[1])

    @property
    def height(self) -> int:
        """Pixels of the bounding box."""
        return int(self.mask.shape[0])

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))


def connected_regions(label_map: NDArray[np.uint8]) -> Iterator[ConnectedRegion]:
    """Yield the connected regions of a label map, ordered by their first pixels.

    They cover the image: background and IGNORE form regions too.
    """
    # No label is -1, so the background is numbered too.
    numbers = measure.label(label_map, background=-1, connectivity=2)  # type: ignore[no-untyped-call]  # scikit-image has no types
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        mask = numbers[box] == number
        row, column = np.unravel_index(mask.argmax(), mask.shape)
        rows, columns = box
        label = int(label_map[rows.start + row, columns.start + column])
        yield ConnectedRegion(label, columns.start, rows.start, mask)


def run_lengths(pixels: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the runs of False (may be 0), True, False, ... of an array, by rows.

    Example:
        >>> run_lengths(np.array([[True, True], [False, True]]))
        [0, 2, 1, 1]
    """
    flat = pixels.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths: list[int] = np.diff([0, *changes, flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def coco_counts(region: ConnectedRegion, size: tuple[int, int]) -> str:
    """Return a region of an image (H, W) as the compressed run lengths of COCO.

    Only the columns of the bounding box are encoded pixel by pixel, so many small regions of a
    large image cost little.
    """
    height, width = size
    columns = np.zeros((region.width, height), bool)
    columns[:, region.top : region.top + region.height] = region.mask.T
    counts = run_lengths(columns)
    counts[0] += region.left * height
    after = (width - region.left - region.width) * height
    if len(counts) % 2:
        counts[-1] += after
    elif after:
        counts.append(after)
    encoded = coco_mask.frPyObjects({"size": list(size), "counts": counts}, height, width)
    text: str = encoded["counts"].decode("ascii")
    return text
