"""Dense CRF by the library pydensecrf, the reference."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydensecrf.densecrf import DenseCRF2D

from wsseg.refine.params import CRFParams


def infer(
    images: Sequence[NDArray[np.uint8]],
    energies: Sequence[NDArray[np.float32]],
    params: CRFParams,
) -> list[NDArray[np.float32]]:
    """Return the mean field of a dense CRF for each image; see ``Inference``."""
    return [_mean_field(*arrays, params) for arrays in zip(images, energies, strict=True)]


def _mean_field(
    image: NDArray[np.uint8], energies: NDArray[np.float32], params: CRFParams
) -> NDArray[np.float32]:
    n_classes, height, width = energies.shape
    field = DenseCRF2D(width, height, n_classes)
    field.setUnaryEnergy(np.ascontiguousarray(energies.reshape(n_classes, -1)))
    if params.gaussian_compat:
        field.addPairwiseGaussian(sxy=params.gaussian_sxy, compat=params.gaussian_compat)
    if params.bilateral_compat:
        field.addPairwiseBilateral(
            sxy=params.bilateral_sxy,
            srgb=params.bilateral_srgb,
            rgbim=image.copy(order="C"),  # pydensecrf rejects read-only arrays
            compat=params.bilateral_compat,
        )
    probabilities = np.asarray(field.inference(params.iterations), np.float32)
    return probabilities.reshape(energies.shape)
