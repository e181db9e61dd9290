"""One vector for an image, from any foundation model."""

import numpy as np
import torch
from numpy.typing import NDArray

from wsseg.foundation.dino import patch_side
from wsseg.foundation.families import FAMILIES
from wsseg.foundation.load import LoadedModel, enough_memory
from wsseg.foundation.pixels import input_pixels, whole_patches
from wsseg.foundation.sam import Sam

_DINO_SIDE = 224  # pixels of the longer side, a resolution of its training


def image_vector(loaded: LoadedModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a vector of an image, which is near to those of images that look alike.

    It is the image feature of CLIP, the class token of DINO, or the mean over the embedding of SAM.
    The whole image is seen, at its own aspect ratio.

    Args:
        loaded: A model of the families "CLIP", "DINO" or "SAM".
        image: (H, W, 3) uint8 RGB of any size.

    Returns:
        (D,) float32.
    """
    kind, model = loaded.weights.model_type, loaded.model
    if kind in FAMILIES["SAM"]:
        (embedding,) = Sam(loaded).encode([image])
        return np.asarray(embedding.features.mean(axis=(1, 2)), np.float32)
    if kind in FAMILIES["CLIP"]:
        patch, side = (getattr(model.config.vision_config, n) for n in ("patch_size", "image_size"))
    else:
        patch, side = patch_side(loaded), _DINO_SIDE
    rows, columns = whole_patches(image.shape, patch, side)
    pixels = input_pixels(loaded, image, (rows * patch, columns * patch))
    with enough_memory(loaded.weights.name), torch.no_grad():
        if kind in FAMILIES["CLIP"]:
            output = model.get_image_features(pixels, interpolate_pos_encoding=True)
        else:
            output = model(pixel_values=pixels)
    vector: NDArray[np.float32] = output.pooler_output[0].cpu().numpy()
    return vector
