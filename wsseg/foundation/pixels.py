"""Images as the input of foundation models."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsseg.foundation.load import LoadedModel

LONGER_SIDE = 512
"""Length in pixels that the longer side of an image is resized to, up to whole patches: the
resolution of the photographs that CLIP-ES and DINOv2 were evaluated on."""


def whole_patches(size: tuple[int, ...], patch: int, side: int = LONGER_SIDE) -> tuple[int, int]:
    """Return the number of patches (rows, columns) of an image, at its own aspect ratio.

    Args:
        size: (H, W), or (H, W, 3), of the image.
        patch: Side of a patch in pixels.
        side: Length of the longer side after resizing, in pixels.

    Example:
        >>> whole_patches((213, 320, 3), 16), whole_patches((1, 4000), 14)
        ((21, 32), (1, 37))
    """
    scale = side / (max(size[:2]) * patch)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def input_pixels(loaded: LoadedModel, image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Return an image resized to (h, w) and normalised as the model expects it.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (1, 3, h, w) float32 on the device of the model.
    """
    preparation: Any = getattr(loaded.processor, "image_processor", loaded.processor)
    values = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(loaded.device).float() / 255
    mean, std = (
        values.new_tensor(statistics)[:, None, None]
        for statistics in (preparation.image_mean, preparation.image_std)
    )
    resized = functional.interpolate(values, size, mode="bilinear", antialias=True)
    return (resized - mean) / std
