"""Scores that follow the edges of an image, whatever backend computes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.backends import BACKENDS, chosen_backend
from wsseg.refine.crf.model import IRN, NEVER, CRFParams
from wsseg.refine.scores import check_batch, normalised

_LEAST = 1e-5  # no score is trusted to rule a class out: only `allowed` does that


def dense_crf(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
    params: CRFParams = IRN,
    backend: str = "native",
) -> NDArray[np.float32]:
    """Return scores that follow the edges of an image.

    The unary energy is -log of the scores, normalised over the allowed classes and clipped at
    1e-5. A class that a pixel may not take is impossible throughout the inference: it neither
    gains the pixel nor spreads from it. Classes that no pixel may take cost nothing.

    Args:
        image: (H, W, 3) uint8 RGB as photographed, never normalised.
        scores: (C, H, W) probabilities or other scores of at least 0 over the C classes that can
            occur; where all allowed classes have 0 they are equally likely.
        allowed: (C, H, W) bool, at least one True a pixel; None allows everything.
        params: Of the CRF.
        backend: A key of ``BACKENDS``.

    Returns:
        (C, H, W) float32 probabilities that sum to 1 over C, exactly 0 where not allowed.

    Raises:
        InputError: An argument has the wrong shape or type, scores are negative or not finite, a
            pixel has no allowed class, or the backend is unknown or not installed.

    References:
        Kraehenbuehl and Koltun, NIPS 2011, arXiv:1210.5644.
    """
    given = None if allowed is None else [allowed]
    return dense_crf_batch([image], [scores], allowed=given, params=params, backend=backend)[0]


def dense_crf_batch(
    images: Sequence[NDArray[np.uint8]],
    scores: Sequence[NDArray[np.floating]],
    *,
    allowed: Sequence[NDArray[np.bool_] | None] | None = None,
    params: CRFParams = IRN,
    backend: str = "native",
) -> list[NDArray[np.float32]]:
    """Return what ``dense_crf`` does to each of some images of any sizes.

    The backend "torch" computes them together on CUDA, as many as fit; others one by one.

    Args:
        images: (H, W, 3) uint8 RGB each.
        scores: (C, H, W) for each image; C may differ.
        allowed: (C, H, W) bool or None for each image; None allows everything everywhere.
        params: Of the CRF.
        backend: A key of ``BACKENDS``.

    Returns:
        (C, H, W) float32 probabilities for each image, in the order of the images.

    Raises:
        InputError: As ``dense_crf``, or the numbers of images, scores and constraints differ.
    """
    infer = BACKENDS[chosen_backend(backend)].load()
    masks = check_batch(images, scores, allowed)
    problems = [_problem(*each) for each in zip(images, scores, masks, strict=True)]
    unsettled = [p for p in problems if len(p.occurring) > 1 and params.iterations]
    coarse = [_shrunk(problem, params.scale) for problem in unsettled]
    energies = [_energies(problem) for problem in coarse]
    sharp = infer([problem.image for problem in coarse], energies, _scaled(params))
    for problem, field in zip(unsettled, sharp, strict=True):
        problem.probabilities = _enlarged(field, problem)
    return [_over_all_classes(*each) for each in zip(problems, scores, strict=True)]


@dataclass(eq=False)
class _Problem:
    """An image and, for the C classes that occur in it, (C, H, W) each; None allows all."""

    image: NDArray[np.uint8]
    occurring: NDArray[np.intp]
    probabilities: NDArray[np.float32]
    allowed: NDArray[np.bool_] | None


def _problem(
    image: NDArray[np.uint8], scores: NDArray[np.floating], allowed: NDArray[np.bool_] | None
) -> _Problem:
    if allowed is None or allowed.all():
        return _Problem(image, np.arange(len(scores)), normalised(scores), None)
    occurring = np.flatnonzero(allowed.any(axis=(1, 2)))
    possible = allowed[occurring]
    return _Problem(image, occurring, normalised(scores[occurring], possible), possible)


def _energies(problem: _Problem) -> NDArray[np.float32]:
    energies: NDArray[np.float32] = -np.log(problem.probabilities.clip(_LEAST))
    if problem.allowed is not None:
        energies[~problem.allowed] = NEVER
    return energies


def _over_all_classes(problem: _Problem, scores: NDArray[np.floating]) -> NDArray[np.float32]:
    if problem.allowed is None:
        return problem.probabilities
    result = np.zeros(scores.shape, np.float32)
    result[problem.occurring] = problem.probabilities
    return result


def _scaled(params: CRFParams) -> CRFParams:
    """Distances in pixels of the shrunk image; what is narrower than its pixels stays so."""
    gaussian, bilateral = (
        max(sxy * params.scale, 0.1) for sxy in (params.gaussian_sxy, params.bilateral_sxy)
    )
    return replace(params, gaussian_sxy=gaussian, bilateral_sxy=bilateral)


def _shrunk(problem: _Problem, scale: float) -> _Problem:
    """The same at a lower resolution: a coarse pixel may take what one of its pixels may."""
    height, width = (max(1, round(side * scale)) for side in problem.image.shape[:2])
    if (height, width) == problem.image.shape[:2]:
        return problem
    image = np.asarray(
        cv2.resize(problem.image, (width, height), interpolation=cv2.INTER_AREA), np.uint8
    )
    means = _resized(problem.probabilities, height, width, cv2.INTER_AREA)
    if problem.allowed is None:
        return replace(problem, image=image, probabilities=means)
    shares = _resized(problem.allowed.astype(np.float32), height, width, cv2.INTER_AREA)
    means = normalised(means, shares > 0)
    return replace(problem, image=image, probabilities=means, allowed=shares > 0)


def _enlarged(field: NDArray[np.float32], problem: _Problem) -> NDArray[np.float32]:
    """A field at the image's resolution; where it allows no class the scores decide."""
    height, width = problem.image.shape[:2]
    if field.shape[1:] == (height, width):
        return field
    enlarged = _resized(field, height, width, cv2.INTER_LINEAR)
    if problem.allowed is None:
        return enlarged
    return normalised(enlarged + _LEAST * problem.probabilities, problem.allowed)


def _resized(
    maps: NDArray[np.float32], height: int, width: int, interpolation: int
) -> NDArray[np.float32]:
    return np.stack([cv2.resize(one, (width, height), interpolation=interpolation) for one in maps])
