"""Boxes with their surroundings, all at the same size, to train on and to predict."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box
from wsseg.data.model import Classes
from wsseg.labelmaps import IGNORE
from wsseg.networks.params import PredictionParams
from wsseg.networks.prediction import Segmenter
from wsseg.networks.training_data import TrainingPair

OBJECT_OR_NOT = Classes(("background", "object"))
"""The classes of a network on box crops."""

_SURROUNDINGS = 0.25  # of the longer side of the box, on each side of it
_MIN_SURROUNDINGS = 4  # pixels


@dataclass(frozen=True, kw_only=True)
class BoxCrop(TrainingPair):
    """A box with its surroundings, and the label map of its image to train on.

    Attributes:
        box: One of ``boxes``, in pixels of the image.
        side: Longer side in pixels to which the crop is resized.
    """

    box: Box
    side: int

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.int16], float]:
        """Return what to train on.

        Returns:
            Pixels (h, w, 3) RGB of the crop; planes (4, h, w): labels, which are 1 where the label
            map has the class of the box, IGNORE where it has IGNORE, and 0 elsewhere, and
            ``box_planes`` of this box alone, whose number and class are 1; the factor of their size
            to train at.

        Raises:
            InputError: A file is missing or damaged.
        """
        pixels, planes, _ = super().read()
        window = crop_window(self.box, planes.shape[1:])
        labels, rows, columns, _ = planes[:, *window]
        is_object = np.where(labels == IGNORE, IGNORE, labels == self.box.label)
        own = self.boxes.index(self.box) + 1
        seen = (rows == own, columns == own)
        crop = np.stack([is_object, *seen, np.logical_or(*seen)]).astype(np.int16)
        return pixels[window], crop, self.side / max(labels.shape)


def crop_window(box: Box, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the index of a box and its surroundings in an (H, W) array.

    The surroundings are a quarter of the longer side of the box wide, at least 4 pixels, and end at
    the border of the image.

    Example:
        >>> crop_window(Box(1, left=5, top=50, right=45, bottom=60), (100, 100))
        (slice(40, 70, None), slice(0, 55, None))
    """
    longer = max(box.bottom - box.top, box.right - box.left)
    width = max(_MIN_SURROUNDINGS, round(_SURROUNDINGS * longer))
    rows = slice(max(0, box.top - width), min(size[0], box.bottom + width))
    return rows, slice(max(0, box.left - width), min(size[1], box.right + width))


def predict_box(
    segmenter: Segmenter, image: NDArray[np.uint8], box: Box, side: int
) -> NDArray[np.float32]:
    """Return the probability that each pixel of a box belongs to its object.

    Args:
        segmenter: A network of the classes ``OBJECT_OR_NOT`` and the scale 1.
        image: (H, W, 3) uint8 RGB.
        side: Longer side in pixels to which the crop is resized.

    Returns:
        (box height, box width) float32, 0..1.
    """
    rows, columns = crop_window(box, image.shape)
    crop = image[rows, columns]
    params = PredictionParams(scales=(side / max(crop.shape[:2]),))
    scores = segmenter.predict(crop, params)
    down = slice(box.top - rows.start, box.bottom - rows.start)
    across = slice(box.left - columns.start, box.right - columns.start)
    return scores[OBJECT_OR_NOT.names.index("object"), down, across]
