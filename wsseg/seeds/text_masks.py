"""Activation maps of tags by SAM 3, which finds everything that a text names."""

import numpy as np
import torch
from numpy.typing import NDArray

from wsseg.data.example import Example
from wsseg.data.model import Classes
from wsseg.foundation.clip import phrases_of, tokens_of
from wsseg.foundation.load import LoadedModel, enough_memory, load_model
from wsseg.foundation.weights import FoundationWeights
from wsseg.refine.affinity import grid_size
from wsseg.seeds.clip import check_names, resize_maps
from wsseg.seeds.params import CAMParams


def sam3_maps(
    example: Example,
    labels: tuple[int, ...],
    *,
    classes: Classes,
    params: CAMParams,
    weights: FoundationWeights,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return the probability that SAM 3 gives each cell of an image for each of its tags.

    Arguments and results are as those of ``clip_maps``, for the family "SAM 3 with text".

    Raises:
        InputError: The weights do not fit, or ``cam.sam3`` names an unknown class.

    References:
        Carion et al., SAM 3: Segment Anything with Concepts, 2025, arXiv:2511.16719.
    """
    check_names(classes, params.sam3.names, "cam.sam3.names")
    size = grid_size(example.sample.size)
    if not labels:
        return np.zeros((0, *size), np.float32)
    names = [classes.names[label] for label in labels]
    phrases = phrases_of(names, params.sam3.names, "{}")
    loaded = load_model(weights, device)
    flat = [phrase for of_one in phrases for phrase in of_one]
    maps = iter(text_probabilities(loaded, example.image, flat))
    strongest = [np.max([next(maps) for _ in of_one], axis=0) for of_one in phrases]
    return resize_maps(np.stack(strongest), size)


def text_probabilities(
    loaded: LoadedModel, image: NDArray[np.uint8], phrases: list[str]
) -> list[NDArray[np.float32]]:
    """Return a map (h, w) of 0..1 for each phrase; the image is encoded once."""
    model, prepare = loaded.model, loaded.processor
    pixels = prepare(images=image.copy(), return_tensors="pt").to(loaded.device)["pixel_values"]
    maps = []
    with enough_memory(loaded.weights.name), torch.no_grad():
        vision = model.get_vision_features(pixels)
        for phrase in phrases:
            output = model(vision_embeds=vision, **tokens_of(loaded, [phrase], "cam.sam3.names"))
            maps.append(output.semantic_seg[0, 0].sigmoid().cpu().numpy())
    return maps
