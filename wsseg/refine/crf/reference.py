"""Dense CRF in numpy and scipy: the model spelled out, and what needs no compiler."""

import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.lattice import Lattice, build_lattice
from wsseg.refine.crf.model import CRFParams


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
    unary = np.ascontiguousarray(energies.reshape(len(energies), -1).T)
    kernels = _kernels(image, params)
    field = _softmax(-unary)
    for _ in range(int(params.iterations)):
        # Potts: a class gains by the weight of the pixels that have it
        field = _softmax(-unary + _messages(kernels, field))
    return field.T.reshape(energies.shape)


def _kernels(
    image: NDArray[np.uint8], params: CRFParams
) -> list[tuple[float, Lattice, NDArray[np.float32]]]:
    """Weight, lattice and symmetric normalisation (N, 1) of each kernel that has a weight."""
    places = np.indices(image.shape[:2])[::-1].reshape(2, -1).T
    colours = image.reshape(-1, 3) / params.bilateral_srgb
    appearance = np.hstack([places / params.bilateral_sxy, colours])
    weighted = [
        (params.gaussian_compat, places / params.gaussian_sxy),
        (params.bilateral_compat, appearance),
    ]
    lattices = [(weight, build_lattice(features)) for weight, features in weighted if weight]
    ones = np.ones((len(places), 1), np.float32)
    return [(weight, lattice, lattice(ones) ** -0.5) for weight, lattice in lattices]


def _messages(
    kernels: list[tuple[float, Lattice, NDArray[np.float32]]], field: NDArray[np.float32]
) -> NDArray[np.float32]:
    total = np.zeros_like(field)
    for weight, lattice, norm in kernels:
        total += weight * norm * lattice(field * norm)
    return total


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    by_class = logits.T.copy()  # numpy reduces a short last axis slowly
    powers = np.exp(by_class - by_class.max(axis=0))
    return np.ascontiguousarray((powers / powers.sum(axis=0)).T)
