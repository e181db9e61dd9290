"""The dense CRF's parameters, and the sets of them that methods publish."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError


@dataclass(frozen=True)
class CRFParams:
    """A fully connected CRF with Potts potentials; defaults are those of IRN.

    Two Gaussian kernels connect all pixels, each normalised symmetrically: one over positions
    (smoothness), one over positions and colours (appearance).

    Args:
        gaussian_sxy: Standard deviation of the smoothness kernel, pixels, above 0.
        gaussian_compat: Its weight; 0 leaves it out.
        bilateral_sxy: Standard deviation of the appearance kernel in space, pixels, above 0.
        bilateral_srgb: Standard deviation of the appearance kernel in colour, 0..255, above 0.
        bilateral_compat: Its weight; 0 leaves it out.
        iterations: Mean-field iterations; 0 returns the scores, normalised.
        scale: Above 0, up to 1. Below 1 the inference runs at this share of the image's sides, with
            the same deviations in the image's pixels, and its result is enlarged: 0.5 is the fast
            mode, with softer edges.

    Raises:
        InputError: A value is out of its range or not finite.

    References:
        Kraehenbuehl and Koltun, Efficient inference in fully connected CRFs with Gaussian edge
        potentials, NIPS 2011, arXiv:1210.5644.
    """

    gaussian_sxy: float = 3
    gaussian_compat: float = 3
    bilateral_sxy: float = 50
    bilateral_srgb: float = 5
    bilateral_compat: float = 10
    iterations: int = 10
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            divides = name.endswith(("sxy", "srgb", "scale"))
            if not math.isfinite(value) or value < 0 or (divides and value == 0):
                rule = "finite and above 0" if divides else "finite and at least 0"
                raise InputError(f"crf.{name}", rule, value, f"set crf.{name}")
        if self.iterations != int(self.iterations):
            raise InputError("crf.iterations", "whole", self.iterations, "set crf.iterations")
        if self.scale > 1:
            raise InputError("crf.scale", "at most 1", self.scale, "set crf.scale")


SDI = CRFParams(3, 3, 80, 13, 10, iterations=5)
"""Simple Does It, arXiv:1603.07485."""

IRN = CRFParams(3, 3, 50, 5, 10, iterations=10)
"""Inter-pixel Relation Network, arXiv:1904.05044."""

CLIP_ES = CRFParams(1, 3, 67, 3, 4, iterations=10)
"""CLIP is Also an Efficient Segmenter, arXiv:2212.09506."""

BANA = CRFParams(3, 3, 55, 3, 4, iterations=10)
"""Background-Aware Pooling and Noise-Aware Loss, arXiv:2104.00905, to make labels."""

BANA_EVALUATION = CRFParams(3, 3, 121, 5, 4, iterations=10)
"""Background-Aware Pooling and Noise-Aware Loss, arXiv:2104.00905, on predictions."""

NEVER = 1e4
"""Energy of a forbidden class: exp(-1e4) is 0, and float32 still resolves the rest."""

Inference = Callable[
    [Sequence[NDArray[np.uint8]], Sequence[NDArray[np.float32]], CRFParams],
    list[NDArray[np.float32]],
]
"""(images (H, W, 3) RGB, unary energies (C, H, W) of each with C of at least 2, parameters with at
least one iteration) -> probabilities (C, H, W) of each, which sum to 1 over C."""
