"""Activation maps spread from where they are strong to what looks alike, without training."""

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.refine.affinity import WalkParams, walked
from wsseg.refine.par import PARParams, par
from wsseg.runs.config import Config

Spreading = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]]
"""(image (H, W, 3) RGB, maps (T, h, w) of 0 to 1) -> maps of the same shape, 0 to 1."""


def find_spreading(config: Config) -> Spreading:
    """Return what ``cam.affinity`` names.

    Args:
        config: The resolved settings; the affinity is neither "none" nor "learned".

    Returns:
        The function; can go to worker processes.
    """
    if config.cam.affinity == "par":
        return partial(spread_by_par, params=PARParams(**config.par.model_dump()))
    return partial(spread_by_walk, params=walk_params(config))


def walk_params(config: Config) -> WalkParams:
    """Return the random walk that a configuration asks for.

    Args:
        config: The resolved settings.

    Returns:
        Its affinity and length; "learned" walks along an embedding.
    """
    name = config.cam.affinity
    affinity: Any = "embedding" if name == "learned" else name
    return WalkParams(affinity=affinity, **config.walk.model_dump())


def spread_by_walk(
    image: NDArray[np.uint8],
    maps: NDArray[np.float32],
    params: WalkParams,
    features: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return maps that walked at random over the image, each divided by its maximum.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (T, h, w) float32, 0..1, of any size.
        params: Affinity and length of the walk.
        features: (D, h, w) float32, for the affinities that need them.

    Returns:
        (T, h, w) float32, 0..1.

    References:
        Ahn et al., IRN, CVPR 2019, arXiv:1904.05044.
    """
    if not len(maps):
        return maps
    large = _resized(maps, image.shape[:2])
    return divided(_resized(walked(large, image, params, features), maps.shape[1:]))


def spread_by_par(
    image: NDArray[np.uint8], maps: NDArray[np.float32], params: PARParams
) -> NDArray[np.float32]:
    """Return maps after pixel-adaptive refinement beside 1 - their maximum as the background.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (T, h, w) float32, 0..1, of any size.
        params: Neighbours and iterations.

    Returns:
        (T, h, w) float32, 0..1.

    References:
        Ru et al., Learning Affinity from Attention, CVPR 2022, arXiv:2203.02664.
    """
    if not len(maps):
        return maps
    large = _resized(maps, image.shape[:2])
    scores = np.concatenate([1 - large.max(axis=0, keepdims=True), large])
    return divided(_resized(par(image, scores, params=params)[1:], maps.shape[1:]))


def divided(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return maps divided by their maximum each.

    Args:
        maps: (T, h, w) of at least 0.

    Returns:
        (T, h, w) float32, 0..1; 0 everywhere where a map is.

    Raises:
        InputError: A map holds NaN or infinite values.
    """
    most = maps.max(axis=(1, 2), initial=0, keepdims=True)
    if not np.isfinite(most).all():
        remedy = "train the classifier again, or correct its weights"
        raise InputError("activation maps", "finite", "NaN or infinite values", remedy)
    return np.where(most > 0, maps / np.where(most > 0, most, 1), 0).astype(np.float32)


def _resized(maps: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    width_height = size[::-1]
    smaller = size[0] < maps.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.stack([cv2.resize(each, width_height, interpolation=how) for each in maps])
