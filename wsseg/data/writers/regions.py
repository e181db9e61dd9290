"""Label maps as annotation tools hold them: connected regions, their boxes and run lengths."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy import ndimage
from skimage import measure

from wsseg.data.model import Sample

LabelledImages = Iterable[tuple[Sample, NDArray[np.uint8]]]
"""Images and their label maps (H, W), one in memory at a time."""


@dataclass(frozen=True, eq=False)
class ConnectedRegion:
    """Pixels of one label that touch each other, corners included.

    Args:
        label: 0 to 255.
        left: First column of its tight box.
        top: First row of its tight box.
        mask: (h, w) bool of the box, True in every outer row and column somewhere.
    """

    label: int
    left: int
    top: int
    mask: NDArray[np.bool_]

    @property
    def width(self) -> int:
        """Columns of its box."""
        return int(self.mask.shape[1])

    @property
    def height(self) -> int:
        """Rows of its box."""
        return int(self.mask.shape[0])

    @property
    def area(self) -> int:
        """Its pixels."""
        return int(np.count_nonzero(self.mask))


def connected_regions(label_map: NDArray[np.uint8]) -> Iterator[ConnectedRegion]:
    """Yield the regions that make up a label map.

    Args:
        label_map: (H, W) uint8; background and IGNORE are regions too.

    Yields:
        Regions that do not overlap and cover the image, in the order of their first pixels.
    """
    # No label is -1, so that the background is numbered too.
    numbers = measure.label(label_map, background=-1, connectivity=2)  # type: ignore[no-untyped-call]  # scikit-image has no types
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        mask = numbers[box] == number
        row, column = np.unravel_index(mask.argmax(), mask.shape)
        rows, columns = box
        label = int(label_map[rows.start + row, columns.start + column])
        yield ConnectedRegion(label, columns.start, rows.start, mask)


def run_lengths(pixels: NDArray[np.bool_]) -> list[int]:
    """Return how long runs of equal pixels are, in the order of an array's flattened pixels.

    Args:
        pixels: bool, of any shape; row by row.

    Returns:
        Lengths of False, True, False, ... in turns; the first is 0 where True comes first.

    Example:
        >>> run_lengths(np.array([[True, True], [False, True]]))
        [0, 2, 1, 1]
    """
    flat = pixels.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths: list[int] = np.diff([0, *changes, flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def coco_counts(region: ConnectedRegion, size: tuple[int, int]) -> str:
    """Return a region as COCO's compressed run lengths.

    Args:
        region: Of an image; only the columns of its box are looked at, so that many small regions
            of a large image cost little.
        size: (H, W) of the image.

    Returns:
        "counts" of the whole image, column by column.
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
