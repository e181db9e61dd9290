"""The dense CRF's parameters, and the sets of them that methods publish."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.refine.params import check_number, check_whole


@dataclass(frozen=True)
class CRFParams:
    """A fully connected CRF with Potts potentials; defaults are those of IRN.

    Two Gaussian kernels connect all pixels, each normalised symmetrically: one over positions
    (smoothness), one over positions and colours (appearance).

    Args:
        gaussian_sxy: Standard deviation of the smoothness kernel, pixels, at least 0.1.
        gaussian_compat: Its weight, 0 to 1000; 0 leaves it out.
        bilateral_sxy: Standard deviation of the appearance kernel in space, pixels, at least 0.1.
        bilateral_srgb: Standard deviation of the appearance kernel in colour, 0..255, at least 0.1.
        bilateral_compat: Its weight, 0 to 1000; 0 leaves it out.
        iterations: Mean-field iterations; 0 returns the scores, normalised.
        scale: 0.01 to 1. Below 1 the inference runs at this share of the image's sides, with
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
        for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb"):
            check_number(f"crf.{name}", getattr(self, name), least=0.1)
        for name in ("gaussian_compat", "bilateral_compat"):
            check_number(f"crf.{name}", getattr(self, name), most=1000)
        check_number("crf.scale", self.scale, least=0.01, most=1)
        check_whole("crf.iterations", self.iterations)


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
"""Energy of a forbidden class: more than any weights can earn it, and exp(-1e4) is 0."""


def out_of_reach(extent: float) -> InputError:
    """Return the error for images too large for the standard deviations.

    Args:
        extent: Lattice points from end to end.
    """
    rule = "large enough that 64 bits number all lattice points of an image"
    got = f"deviations that need {extent:.0f} of them from end to end"
    return InputError("crf.bilateral_srgb and sxy", rule, got, "use larger ones")


Inference = Callable[
    [Sequence[NDArray[np.uint8]], Sequence[NDArray[np.float32]], CRFParams],
    list[NDArray[np.float32]],
]
"""(images (H, W, 3) RGB, unary energies (C, H, W) of each with C of at least 2, parameters with at
least one iteration) -> probabilities (C, H, W) of each, which sum to 1 over C."""


def one_by_one(
    mean_field: Callable[[NDArray[np.uint8], NDArray[np.float32], CRFParams], NDArray[np.float32]],
) -> Inference:
    """Return the inference of a backend that gains nothing from batches.

    Args:
        mean_field: (image, energies, parameters) -> probabilities.
    """

    def infer(
        images: Sequence[NDArray[np.uint8]],
        energies: Sequence[NDArray[np.float32]],
        params: CRFParams,
    ) -> list[NDArray[np.float32]]:
        return [mean_field(*each, params) for each in zip(images, energies, strict=True)]

    return infer
