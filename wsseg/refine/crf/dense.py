"""Dense CRF refinement of class scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.backends import BACKENDS, NEVER, choose_backend
from wsseg.refine.params import CRFParams
from wsseg.refine.scores import check_batch, normalise

_SMALLEST = 1e-5  # scores never rule a class out: only `allowed` does


def dense_crf(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
    params: CRFParams = CRFParams(),
) -> NDArray[np.float32]:
    """Return class probabilities that follow the edges of an image, by a fully connected CRF.

    The unary energy is -log of the scores, normalised over the allowed classes and clipped at
    1e-5. A class that a pixel may not take is impossible throughout the inference: it neither
    gains the pixel nor spreads from it. Classes that no pixel may take cost nothing.

    Args:
        image: (H, W, 3) uint8 RGB, 0..255, not normalised.
        scores: (C, H, W) probabilities or other scores, finite and at least 0, over the C classes
            that can occur. Where all allowed classes have 0 they are equally likely.
        allowed: (C, H, W) bool, at least one True per pixel; None allows everything.

    Returns:
        (C, H, W) float32 probabilities that sum to 1 over C, exactly 0 where not allowed.

    Raises:
        InputError: An argument has the wrong shape or type, scores are negative or not finite, a
            pixel has no allowed class, or the backend is unknown or not installed.

    References:
        Kraehenbuehl and Koltun, Efficient inference in fully connected CRFs with Gaussian edge
        potentials, NIPS 2011, arXiv:1210.5644.

    Example:
        >>> image = np.zeros((1, 4, 3), np.uint8)
        >>> image[:, 3] = 255
        >>> scores = np.array([[[0.9, 0.9, 0.4, 0.1]], [[0.1, 0.1, 0.6, 0.9]]])
        >>> dense_crf(image, scores).argmax(axis=0).tolist()
        [[0, 0, 0, 1]]
    """
    masks = None if allowed is None else [allowed]
    return dense_crf_batch([image], [scores], allowed=masks, params=params)[0]


def dense_crf_batch(
    images: Sequence[NDArray[np.uint8]],
    scores: Sequence[NDArray[np.floating]],
    *,
    allowed: Sequence[NDArray[np.bool_] | None] | None = None,
    params: CRFParams = CRFParams(),
) -> list[NDArray[np.float32]]:
    """Apply ``dense_crf`` to images of any sizes, each with its scores and ``allowed`` or None.

    The backend "torch" processes as many images at once as fit on a GPU; others one by one.

    Returns:
        (C, H, W) float32 probabilities for each image; C may differ.

    Raises:
        InputError: As ``dense_crf``, or the numbers of images, scores and constraints differ.
    """
    infer = BACKENDS[choose_backend(params.backend)].load()
    masks = check_batch(images, scores, allowed)
    problems = [_problem(*arrays) for arrays in zip(images, scores, masks, strict=True)]
    open_problems = [p for p in problems if len(p.occurring) > 1 and params.iterations]
    coarse = [_downscale(problem, params.scale) for problem in open_problems]
    energies = [_energies(problem) for problem in coarse]
    fields = infer([problem.image for problem in coarse], energies, _scale_params(params))
    for problem, field in zip(open_problems, fields, strict=True):
        problem.probabilities = _upscale(field, problem)
    return [_over_all_classes(p, s) for p, s in zip(problems, scores, strict=True)]


@dataclass(eq=False)
class _Problem:
    """An image, and arrays (C, H, W) over the C classes that occur in it; None allows all."""

    image: NDArray[np.uint8]
    occurring: NDArray[np.intp]
    probabilities: NDArray[np.float32]
    allowed: NDArray[np.bool_] | None


def _problem(
    image: NDArray[np.uint8], scores: NDArray[np.floating], allowed: NDArray[np.bool_] | None
) -> _Problem:
    if allowed is None or allowed.all():
        return _Problem(image, np.arange(len(scores)), normalise(scores), None)
    occurring = np.flatnonzero(allowed.any(axis=(1, 2)))
    possible = allowed[occurring]
    return _Problem(image, occurring, normalise(scores[occurring], possible), possible)


def _energies(problem: _Problem) -> NDArray[np.float32]:
    energies: NDArray[np.float32] = -np.log(problem.probabilities.clip(_SMALLEST))
    if problem.allowed is not None:
        energies[~problem.allowed] = NEVER
    return energies


def _over_all_classes(problem: _Problem, scores: NDArray[np.floating]) -> NDArray[np.float32]:
    if problem.allowed is None:
        return problem.probabilities
    result = np.zeros(scores.shape, np.float32)
    result[problem.occurring] = problem.probabilities
    return result


def _scale_params(params: CRFParams) -> CRFParams:
    """Convert distances to pixels of the downscaled image, at least 0.1 of them."""
    widths = {
        k: max(getattr(params, k) * params.scale, 0.1) for k in ("gaussian_sxy", "bilateral_sxy")
    }
    return params.model_copy(update=widths)


def _downscale(problem: _Problem, scale: float) -> _Problem:
    """Lower the resolution; a coarse pixel may take every class that one of its pixels may."""
    height, width = (max(1, round(side * scale)) for side in problem.image.shape[:2])
    if (height, width) == problem.image.shape[:2]:
        return problem
    image = np.asarray(
        cv2.resize(problem.image, (width, height), interpolation=cv2.INTER_AREA), np.uint8
    )
    means = _resize(problem.probabilities, height, width, cv2.INTER_AREA)
    if problem.allowed is None:
        return replace(problem, image=image, probabilities=means)
    shares = _resize(problem.allowed.astype(np.float32), height, width, cv2.INTER_AREA)
    means = normalise(means, shares > 0)
    return replace(problem, image=image, probabilities=means, allowed=shares > 0)


def _upscale(field: NDArray[np.float32], problem: _Problem) -> NDArray[np.float32]:
    """Return a field at the image's resolution; the scores decide where it allows no class."""
    height, width = problem.image.shape[:2]
    if field.shape[1:] == (height, width):
        return field
    upscaled = _resize(field, height, width, cv2.INTER_LINEAR)
    if problem.allowed is None:
        return upscaled
    return normalise(upscaled + _SMALLEST * problem.probabilities, problem.allowed)


def _resize(
    maps: NDArray[np.float32], height: int, width: int, interpolation: int
) -> NDArray[np.float32]:
    return np.stack([cv2.resize(one, (width, height), interpolation=interpolation) for one in maps])
