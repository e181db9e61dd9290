"""Augmented crops of images and label maps for trainings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from wsseg.bands import ImageParams
from wsseg.data.annotation import Box
from wsseg.data.stacking import visible_box_index
from wsseg.images import read_image
from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.networks.batches import GRAY, JITTER, StepBatches, normalize, random_size
from wsseg.networks.params import NetworkParams, TrainingParams

_OUTSIDE = 256  # the label of padding


@dataclass(frozen=True)
class TrainingPair:
    """An image file and the label map to train on.

    Attributes:
        label_map: A palette PNG of the image's size.
        possible: For each class whether it can occur in the image; empty if no loss asks for it.
        boxes: The boxes of the image, for the loss ``tightness``.
        reading: Range and bands that the image is read with.
    """

    image: Path
    label_map: Path
    possible: tuple[bool, ...] = ()
    boxes: tuple[Box, ...] = ()
    reading: ImageParams = field(default_factory=ImageParams)

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.int16], float]:
        """Return what to train on.

        Returns:
            Pixels (H, W, 3) RGB; planes (4, H, W): labels and ``box_planes``; the factor of their
            size to train at.

        Raises:
            InputError: A file is missing or damaged.
        """
        labels = read_label_map(self.label_map).astype(np.int16)
        planes = np.stack([labels, *box_planes(self.boxes, labels.shape)])
        return read_image(self.image, self.reading), planes, 1.0


class Target(NamedTuple):
    """The labels of a crop.

    Attributes:
        labels: (h, w) int64, IGNORE where unknown and on padding.
        inside: (h, w) bool, False on padding.
        possible: (K,) bool: classes that can occur in the image.
        row_boxes, column_boxes, box_labels: (h, w) int64, see ``box_planes``.
    """

    labels: Tensor
    inside: Tensor
    possible: Tensor
    row_boxes: Tensor
    column_boxes: Tensor
    box_labels: Tensor


class TrainingBatches(StepBatches):
    """Batches of augmented crops and their ``Target``, one per step."""

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        model: NetworkParams,
        trainer: TrainingParams,
        *,
        seed: int,
    ) -> None:
        super().__init__(len(pairs), trainer, seed=seed)
        self.pairs, self.model = tuple(pairs), model
        fill = {tv_tensors.Image: GRAY, tv_tensors.Mask: _OUTSIDE}
        self.augment = v2.Compose(
            [
                v2.RandomCrop(trainer.crop, pad_if_needed=True, fill=fill),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(JITTER, JITTER, JITTER, JITTER / 6),
            ]
        )

    def example(self, index: int) -> tuple[Tensor, Target]:
        """Return a crop (3, h, w) float32, normalised, and its target."""
        pair = self.pairs[index]
        pixels, planes, factor = pair.read()
        scale, zoom = self.model.scale * factor, self.trainer.zoom
        image, padded = self.augment(*zoom_randomly(pixels, planes, scale, zoom))
        labels, *drawn = padded.as_subclass(Tensor).long()
        inside = labels != _OUTSIDE
        possible = torch.tensor(pair.possible, dtype=torch.bool)
        of_boxes = (plane * inside for plane in drawn)
        target = Target(labels.where(inside, IGNORE), inside, possible, *of_boxes)
        return normalize(image, self.model), target


def box_planes(boxes: tuple[Box, ...], size: tuple[int, ...]) -> NDArray[np.int16]:
    """Return maps (3, H, W) of the visible boxes of an image.

    Returns:
        The number of the box, from 1, where its whole row is visible; the same of its column; and
        the class of the visible box. 0 elsewhere.

    Example:
        >>> behind, front = Box(1, 0, 0, 3, 2), Box(2, 2, 1, 3, 2)
        >>> box_planes((behind, front), (2, 3)).tolist()
        [[[1, 1, 1], [0, 0, 2]], [[1, 1, 0], [1, 1, 2]], [[1, 1, 1], [1, 1, 2]]]
    """
    index = visible_box_index(boxes, size)
    labels = np.array([*(box.label for box in boxes), 0], np.int16)
    planes = np.stack([np.zeros(size, np.int16), np.zeros(size, np.int16), labels[index]])
    for number, box in enumerate(boxes):
        visible = index[box.slices] == number
        planes[0][box.slices][visible.all(axis=1)] = number + 1
        planes[1][box.slices][:, visible.all(axis=0)] = number + 1
    return planes


def zoom_randomly(
    pixels: NDArray[np.uint8],
    planes: NDArray[np.int16],
    scale: float,
    zoom: tuple[float, float],
) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    """Return an image and maps of its pixels after the same random zoom.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        planes: (P, H, W) int16.
        scale: Fixed factor of the size.
        zoom: Range of the random factor.

    Returns:
        (3, h, w) uint8 and (P, h, w) int16.
    """
    size = random_size(pixels.shape[:2], scale, zoom)
    image = tv_tensors.Image(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
    # The older NEAREST is not centred: maps would lie up to half a pixel off their image.
    exact = v2.InterpolationMode.NEAREST_EXACT
    # It becomes a Mask afterwards: torchvision 0.19 to 0.24 resizes masks by NEAREST in any case.
    zoomed = v2.functional.resize(torch.from_numpy(planes), size, exact)
    return v2.functional.resize(image, size), tv_tensors.Mask(zoomed)
