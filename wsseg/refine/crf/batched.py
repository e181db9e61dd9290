"""Dense CRF in torch operations: images of mixed sizes as one batch, on CUDA where there is one."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsseg.refine.crf.lattice import Lattice, build_lattice
from wsseg.refine.crf.model import NEVER, CRFParams


def infer(
    images: Sequence[NDArray[np.uint8]],
    energies: Sequence[NDArray[np.float32]],
    params: CRFParams,
) -> list[NDArray[np.float32]]:
    """Return the mean field of a dense CRF for each image; see ``Inference``.

    On the CPU, where a batch gains nothing, images are computed one after the other.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [
        field
        for chosen in _together(energies, _budget(device))
        for field in _infer(
            [images[i] for i in chosen], [energies[i] for i in chosen], params, device
        )
    ]


def _budget(device: torch.device) -> int:
    """Bytes that a batch may take."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 0


def _together(energies: Sequence[NDArray[np.float32]], budget: int) -> Iterator[list[int]]:
    """Consecutive images, as many as fit, at least one.

    A pixel takes about 500 bytes, and 20 for each class of the batch's largest number of them.
    """
    chosen: list[int] = []
    for index, each in enumerate(energies):
        members = [energies[i] for i in chosen] + [each]
        pixels, n_classes = sum(e[0].size for e in members), max(map(len, members))
        if chosen and pixels * (500 + 20 * n_classes) > budget:
            yield chosen
            chosen = []
        chosen.append(index)
    if chosen:
        yield chosen


@torch.inference_mode()
def _infer(
    images: Sequence[NDArray[np.uint8]],
    energies: Sequence[NDArray[np.float32]],
    params: CRFParams,
    device: torch.device,
) -> list[NDArray[np.float32]]:
    unary = _stacked(energies, device)
    kernels = list(kernels_of(images, params, device))
    field = (-unary).softmax(1)
    for _ in range(params.iterations):
        # Potts: a class gains by the weight of the pixels that have it
        logits = -unary
        for weight, lattice, norm in kernels:
            logits += weight * norm * lattice(field * norm)
        field = logits.softmax(1)
    return list(_parted(field.cpu().numpy(), energies))


def _parted(
    field: NDArray[np.float32], energies: Sequence[NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    """Each image's probabilities (C, H, W) from those of all pixels (N, C)."""
    stop = 0
    for each in energies:
        start, stop = stop, stop + each[0].size
        yield field[start:stop, : len(each)].T.reshape(each.shape).copy()


def _stacked(energies: Sequence[NDArray[np.float32]], device: torch.device) -> Tensor:
    """(N, C) of all images' pixels; classes that an image lacks are impossible there."""
    n_classes = max(map(len, energies))
    pixels = sum(each[0].size for each in energies)
    stacked = torch.full((pixels, n_classes), NEVER)
    stop = 0
    for each in energies:
        start, stop = stop, stop + each[0].size
        rows = torch.from_numpy(each.reshape(len(each), -1))
        stacked[start:stop, : len(each)] = rows.T
    return stacked.to(device)


def kernels_of(
    images: Sequence[NDArray[np.uint8]], params: CRFParams, device: torch.device
) -> Iterator[tuple[float, Lattice, Tensor]]:
    """Yield weight, lattice and symmetric normalisation (N, 1) of each kernel that has a weight.

    Args:
        images: (H, W, 3) uint8 RGB each, N pixels in all; pixels of different images never meet.
        params: Of the CRF.
        device: Where the lattices are built.

    Yields:
        The smoothness kernel and the appearance kernel.
    """
    space = torch.cat([torch.full((image[..., 0].size,), i) for i, image in enumerate(images)])
    places = torch.cat([_places(*image.shape[:2]) for image in images])
    colours = torch.cat([torch.from_numpy(image.reshape(-1, 3).copy()) for image in images])
    space, places, colours = space.to(device), places.to(device), colours.to(device)
    if params.gaussian_compat:
        yield _kernel(params.gaussian_compat, places / params.gaussian_sxy, space)
    if params.bilateral_compat:
        features = [places / params.bilateral_sxy, colours / params.bilateral_srgb]
        yield _kernel(params.bilateral_compat, torch.cat(features, 1), space)


def _places(height: int, width: int) -> Tensor:
    """(N, 2) float32: column and row of each pixel."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows], 2).view(-1, 2).float()


def _kernel(weight: float, features: Tensor, space: Tensor) -> tuple[float, Lattice, Tensor]:
    lattice = build_lattice(features, space)
    return weight, lattice, lattice(torch.ones_like(features[:, :1])) ** -0.5
