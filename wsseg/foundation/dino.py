"""DINO: features of patches, which are similar for parts of one object and of one class."""

import numpy as np
import torch
from numpy.typing import NDArray

from wsseg.foundation.load import LoadedModel, enough_memory
from wsseg.foundation.pixels import LONGER_SIDE, input_pixels, whole_patches

_CONVNEXT_STRIDE = 32


def patch_side(loaded: LoadedModel) -> int:
    """Return the side in pixels of the patches of a model of the family "DINO"."""
    return int(getattr(loaded.model.config, "patch_size", _CONVNEXT_STRIDE))


def patch_features(
    loaded: LoadedModel, image: NDArray[np.uint8], side: int = LONGER_SIDE
) -> NDArray[np.float32]:
    """Return the features of the patches of an image, at its own aspect ratio.

    Args:
        loaded: A model of the family "DINO".
        image: (H, W, 3) uint8 RGB of any size.
        side: Length in pixels that the longer side of the image is resized to.

    Returns:
        (D, h, w) float32; the output of the last layer norm, without the tokens of the class and
        the registers.

    References:
        Oquab et al., DINOv2, TMLR 2024, arXiv:2304.07193.
    """
    patch = patch_side(loaded)
    rows, columns = whole_patches(image.shape, patch, side)
    pixels = input_pixels(loaded, image, (rows * patch, columns * patch))
    with enough_memory(loaded.weights.name), torch.no_grad():
        tokens = loaded.model(pixel_values=pixels).last_hidden_state[0]
    # The tokens of the class and of the registers come first.
    patches = tokens[-rows * columns :].T.reshape(-1, rows, columns)
    features: NDArray[np.float32] = patches.cpu().numpy()
    return features
