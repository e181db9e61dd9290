"""Dense CRF: scores follow the edges of the image. One model, several backends."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.refine.crf import pydensecrf, reference
from wsseg.refine.crf.model import BANA, BANA_EVALUATION, CLIP_ES, IRN, SDI, CRFParams, Inference
from wsseg.run.settings import CRFSettings

__all__ = [
    "BACKENDS",
    "BANA",
    "BANA_EVALUATION",
    "CLIP_ES",
    "IRN",
    "SDI",
    "Backend",
    "CRFParams",
    "Inference",
    "chosen_backend",
    "crf_params",
    "dense_crf",
]

_LEAST = 1e-5  # no score is trusted to rule a class out: only `allowed` does that
_NEVER = 1e4  # energy of a forbidden class: exp(-1e4) is 0, and float32 still resolves the rest


@dataclass(frozen=True)
class Backend:
    """One way to compute the same inference.

    Attributes:
        infer: Computes it.
        is_installed: Whether it can be used here.
        remedy: How to make it so.
    """

    infer: Inference
    is_installed: Callable[[], bool]
    remedy: str


BACKENDS: dict[str, Backend] = {
    "pydensecrf": Backend(pydensecrf.infer, pydensecrf.is_installed, "pip install pydensecrf2"),
    "reference": Backend(reference.infer, lambda: True, ""),
}
"""Backends by name, the preferred first."""


def chosen_backend(name: str = "auto") -> str:
    """Return the name of the backend that computes a CRF.

    Args:
        name: A key of ``BACKENDS``, or "auto" for the first that is installed.

    Returns:
        A key of ``BACKENDS``.

    Raises:
        InputError: The name is unknown, or the backend is not installed.
    """
    if name == "auto":
        return next(known for known, backend in BACKENDS.items() if backend.is_installed())
    if name not in BACKENDS:
        choices = ", ".join(["auto", *BACKENDS])
        raise InputError("crf.backend", "a known backend", repr(name), f"choose from {choices}")
    if not BACKENDS[name].is_installed():
        raise InputError("crf.backend", "installed", repr(name), BACKENDS[name].remedy)
    return name


def crf_params(settings: CRFSettings) -> CRFParams:
    """Return the parameters of a configuration.

    Args:
        settings: The group ``crf``.

    Returns:
        All but the backend.
    """
    return CRFParams(**settings.model_dump(exclude={"backend"}))


def dense_crf(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
    params: CRFParams = IRN,
    backend: str = "auto",
) -> NDArray[np.float32]:
    """Return scores that follow the edges of an image.

    The unary energy is -log of the scores, normalised over the allowed classes and clipped at
    1e-5. A class that a pixel may not take is impossible throughout the inference: it neither
    gains the pixel nor spreads from it.

    Args:
        image: (H, W, 3) uint8 RGB as photographed, never normalised.
        scores: (C, H, W) probabilities or other scores of at least 0 over the C classes that can
            occur; where all allowed classes have 0 they are equally likely.
        allowed: (C, H, W) bool, at least one True a pixel; None allows everything.
        params: Of the CRF.
        backend: A key of ``BACKENDS`` or "auto".

    Returns:
        (C, H, W) float32 probabilities that sum to 1 over C, exactly 0 where not allowed.

    Raises:
        InputError: An argument has the wrong shape or type, scores are negative or not finite, a
            pixel has no allowed class, or the backend is unknown or not installed.

    References:
        Kraehenbuehl and Koltun, NIPS 2011, arXiv:1210.5644.
    """
    allowed = np.ones(scores.shape, bool) if allowed is None else allowed
    _check(image, scores, allowed)
    infer = BACKENDS[chosen_backend(backend)].infer
    occurring = np.flatnonzero(allowed.any(axis=(1, 2)))
    possible = allowed[occurring]
    probabilities = _normalised(scores[occurring], possible)
    if params.iterations and len(occurring) > 1:
        energies = np.where(possible, -np.log(probabilities.clip(_LEAST)), np.float32(_NEVER))
        probabilities = infer(image, energies, params)
    result = np.zeros(scores.shape, np.float32)
    result[occurring] = probabilities
    return result


def _normalised(scores: NDArray[np.floating], allowed: NDArray[np.bool_]) -> NDArray[np.float32]:
    permitted = np.where(allowed, scores, 0.0)
    silent = permitted.sum(axis=0) == 0
    permitted = np.where(silent, allowed, permitted)
    return np.asarray(permitted / permitted.sum(axis=0), np.float32)


def _check(
    image: NDArray[np.uint8], scores: NDArray[np.floating], allowed: NDArray[np.bool_]
) -> None:
    expected = (*scores.shape[1:], 3)
    if image.shape != expected or image.dtype != np.uint8 or not image.size:
        got = f"{image.dtype} of shape {image.shape}"
        remedy = "pass the photograph itself, not a normalised one"
        raise InputError("image", f"uint8 RGB of shape {expected}", got, remedy)
    if not np.isfinite(scores).all() or (scores < 0).any():
        got = f"{scores.min()} to {scores.max()}"
        raise InputError("scores", "finite and at least 0", got, "pass probabilities")
    if allowed.shape != scores.shape or not allowed.any(axis=0).all():
        rule = f"of shape {scores.shape} with a class for every pixel"
        got = f"shape {allowed.shape}" if allowed.shape != scores.shape else "pixels without one"
        raise InputError("allowed", rule, got, "allow the background")
