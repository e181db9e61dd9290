"""Propagation of activation maps from where they are strong to regions that look alike."""

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.refine.affinity import Affinity, propagate
from wsseg.refine.par import par
from wsseg.refine.params import PARParams, WalkParams
from wsseg.seeds.params import CAMParams

_WALKS: dict[str, Affinity] = {
    "colour": "colour",
    "boundary": "boundary",
    "learned": "embedding",
    "dino": "feature",
}


def spread(
    image: NDArray[np.uint8],
    maps: NDArray[np.float32],
    params: CAMParams,
    features: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return maps after propagation by ``params.affinity``, each divided by its maximum.

    PAR needs a background: it is 1 - the maximum over the maps.

    Args:
        maps: (T, h, w) float32, 0..1, of any size.
        features: (D, h', w') float32, for the affinities "learned" and "dino".

    Returns:
        (T, h, w) float32, 0..1.

    References:
        Ahn et al., IRN, CVPR 2019, arXiv:1904.05044 (walks); Ru et al., Learning Affinity from
        Attention, CVPR 2022, arXiv:2203.02664 (PAR).
    """
    if not len(maps) or params.affinity == "none":
        return maps
    large = _resize(maps, image.shape[:2])
    if affinity := _WALKS.get(params.affinity):
        walk = WalkParams()
        if params.affinity == "dino" and features is not None:
            # Features between those of two patches would be similar to both, and join regions that
            # are not: a cell is a patch.
            patch = round(max(image.shape[:2]) / max(features.shape[1:]))
            walk = WalkParams(stride=max(1, patch))
        large = propagate(large, image, walk, affinity, features)
    else:
        scores = np.concatenate([1 - large.max(axis=0, keepdims=True), large])
        variant = PARParams.model_validate({"variant": params.affinity})
        large = par(image, scores, params=variant)[1:]
    return max_normalise(_resize(large, maps.shape[1:]))


def max_normalise(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return maps (T, h, w) of at least 0, each divided by its maximum; 0 where that is 0.

    Raises:
        InputError: A map contains NaN or infinite values.
    """
    most = maps.max(axis=(1, 2), initial=0, keepdims=True)
    if not np.isfinite(most).all():
        remedy = "train the classifier again, or correct its weights"
        raise InputError("activation maps", "finite", "NaN or infinite values", remedy)
    return np.where(most > 0, maps / np.where(most > 0, most, 1), 0).astype(np.float32)


def _resize(maps: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    interpolation = cv2.INTER_AREA if size[0] < maps.shape[1] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(m, size[::-1], interpolation=interpolation) for m in maps])
