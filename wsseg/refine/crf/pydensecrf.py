"""Dense CRF by the compiled library pydensecrf; its conventions stay in here."""

import importlib.util

import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.model import CRFParams


def is_installed() -> bool:
    """Return whether pydensecrf can be imported (the distribution is pydensecrf2)."""
    return importlib.util.find_spec("pydensecrf") is not None


def infer(
    image: NDArray[np.uint8], energies: NDArray[np.float32], params: CRFParams
) -> NDArray[np.float32]:
    """Return the mean field of a dense CRF.

    Args:
        image: (H, W, 3) uint8 RGB.
        energies: (C, H, W) float32 unary energies.
        params: Of the CRF, with at least one iteration.

    Returns:
        (C, H, W) float32 probabilities.
    """
    from pydensecrf.densecrf import DenseCRF2D  # noqa: PLC0415 - an optional dependency

    n_classes, height, width = energies.shape
    field = DenseCRF2D(width, height, n_classes)
    field.setUnaryEnergy(np.ascontiguousarray(energies.reshape(n_classes, -1)))
    if params.gaussian_compat:
        field.addPairwiseGaussian(sxy=params.gaussian_sxy, compat=params.gaussian_compat)
    if params.bilateral_compat:
        field.addPairwiseBilateral(
            sxy=params.bilateral_sxy,
            srgb=params.bilateral_srgb,
            rgbim=image.copy(order="C"),  # it rejects read-only arrays
            compat=params.bilateral_compat,
        )
    probabilities = np.asarray(field.inference(int(params.iterations)), np.float32)
    return probabilities.reshape(energies.shape)
