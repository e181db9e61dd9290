"""Dense CRF in torch operations: on CUDA, images of different sizes form one batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsseg.refine.crf.backends import NEVER, out_of_reach
from wsseg.refine.params import CRFParams


@dataclass(frozen=True, eq=False)
class Lattice:
    """A Gaussian filter over N points: splat onto M lattice points, blur there, slice back.

    Sums have a fixed order, so that results repeat exactly, also on a GPU.

    Attributes:
        corners: (N, d + 1) int32, the lattice points of each point's simplex.
        weights: (N, d + 1) float32, barycentric, which sum to 1 per point.
        points: (N (d + 1),) int32, the points around each lattice point, one after the other.
        shares: (N (d + 1),) float32, their weights in the same order.
        starts: (M,) int32, the first index of each lattice point in ``points``.
        neighbours: (d + 1, 2, M) int32, the next lattice points either way along each direction,
            M if there is none.
    """

    corners: Tensor
    weights: Tensor
    points: Tensor
    shares: Tensor
    starts: Tensor
    neighbours: Tensor

    def __call__(self, field: Tensor) -> Tensor:
        """Return a filtered field (N, C) float32, up to a constant factor."""
        values = functional.embedding_bag(
            self.points, field, self.starts, mode="sum", per_sample_weights=self.shares
        )
        for ahead, behind in self.neighbours:
            padded = torch.cat([values, values.new_zeros(1, values.shape[1])])
            values = values + (padded[ahead] + padded[behind]) / 2
        return functional.embedding_bag(
            self.corners, values, mode="sum", per_sample_weights=self.weights
        )


def build_lattice(features: Tensor, space: Tensor) -> Lattice:
    """Return the lattice of a Gaussian kernel of standard deviation 1 between features.

    Args:
        features: (N, d) float32 positions in units of the kernel's standard deviation.
        space: (N,) int64 from 0; points of different spaces never interact.

    References:
        Adams, Baek and Davis, Fast high-dimensional filtering using the permutohedral lattice,
        Eurographics 2010.
    """
    elevated = _elevated(features)
    base, rank = _enclosing_simplex(elevated)
    keys, strides = _numbered(base, rank, space)
    weights = _barycentric(elevated - base * base.shape[1], rank)
    ordered, order = torch.sort(keys.ravel(), stable=True)
    points, owner, counts = torch.unique_consecutive(
        ordered, return_inverse=True, return_counts=True
    )
    corners = torch.empty_like(owner, dtype=torch.int32)
    corners[order] = owner.int()
    return Lattice(
        corners.view(keys.shape),
        weights,
        (order // keys.shape[1]).int(),
        weights.ravel()[order],
        (counts.cumsum(0) - counts).int(),
        _neighbours(points, strides),
    )


def infer(
    images: Sequence[NDArray[np.uint8]],
    energies: Sequence[NDArray[np.float32]],
    params: CRFParams,
) -> list[NDArray[np.float32]]:
    """Return the mean field of a dense CRF for each image; see ``Inference``.

    On the CPU, where batches are no faster, images are processed one after the other.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    budget = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 0
    fields: list[NDArray[np.float32]] = []
    for batch in _batches(energies, budget):
        fields += _infer([images[i] for i in batch], [energies[i] for i in batch], params, device)
    return fields


def _batches(energies: Sequence[NDArray[np.float32]], budget: int) -> Iterator[list[int]]:
    """Yield the indices of consecutive images that fit into a budget of bytes, at least one each.

    A pixel takes about 500 bytes, and 20 per class of the image with the most classes.
    """
    batch: list[int] = []
    for index, energy in enumerate(energies):
        members = [energies[i] for i in batch] + [energy]
        pixels, n_classes = sum(e[0].size for e in members), max(map(len, members))
        if batch and pixels * (500 + 20 * n_classes) > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.inference_mode()
def _infer(
    images: Sequence[NDArray[np.uint8]],
    energies: Sequence[NDArray[np.float32]],
    params: CRFParams,
    device: torch.device,
) -> list[NDArray[np.float32]]:
    unary = _stack(energies, device)
    kernels = list(kernels_of(images, params, device))
    field = (-unary).softmax(1)
    for _ in range(params.iterations):
        # Potts model: a class gains the weight of the pixels that have it.
        logits = -unary
        for weight, lattice, norm in kernels:
            logits += weight * norm * lattice(field * norm)
        field = logits.softmax(1)
    split = np.split(field.cpu().numpy(), np.cumsum([energy[0].size for energy in energies])[:-1])
    return [
        part[:, : len(energy)].T.reshape(energy.shape).copy()
        for part, energy in zip(split, energies, strict=True)
    ]


def _stack(energies: Sequence[NDArray[np.float32]], device: torch.device) -> Tensor:
    """Return (N, C) over the pixels of all images; missing classes of an image are impossible."""
    n_classes = max(map(len, energies))
    rows = [torch.from_numpy(energy.reshape(len(energy), -1).T) for energy in energies]
    padded = [functional.pad(row, (0, n_classes - row.shape[1]), value=NEVER) for row in rows]
    return torch.cat(padded).to(device)


def kernels_of(
    images: Sequence[NDArray[np.uint8]], params: CRFParams, device: torch.device
) -> Iterator[tuple[float, Lattice, Tensor]]:
    """Yield weight, lattice and symmetric normalisation (N, 1) of each kernel that has a weight.

    Pixels of different images are never connected.

    Args:
        images: (H, W, 3) uint8 RGB each, N pixels in all.
    """
    space = torch.cat([torch.full((image[..., 0].size,), i) for i, image in enumerate(images)])
    places = np.concatenate([np.indices(image.shape[1::-1]).T.reshape(-1, 2) for image in images])
    colours = torch.cat([torch.from_numpy(image.reshape(-1, 3).copy()) for image in images])
    space, colours = space.to(device), colours.to(device)
    positions = torch.from_numpy(places).float().to(device)  # (N, 2): column and row
    if params.gaussian_compat:
        yield _kernel(params.gaussian_compat, positions / params.gaussian_sxy, space)
    if params.bilateral_compat:
        features = [positions / params.bilateral_sxy, colours / params.bilateral_srgb]
        yield _kernel(params.bilateral_compat, torch.cat(features, 1), space)


def _kernel(weight: float, features: Tensor, space: Tensor) -> tuple[float, Lattice, Tensor]:
    lattice = build_lattice(features, space)
    return weight, lattice, lattice(torch.ones_like(features[:, :1])) ** -0.5


def _elevated(features: Tensor) -> Tensor:
    """Return (N, d + 1) on the plane of zero sum, scaled to a filter of deviation 1."""
    d = features.shape[1]
    axis = torch.arange(1, d + 1, device=features.device)
    scaled = features * ((2 / 3) ** 0.5 * (d + 1) / (axis * (axis + 1)).sqrt())
    elevated = features.new_zeros(len(features), d + 1)
    elevated[:, :d] = scaled.flip(1).cumsum(1).flip(1)
    elevated[:, 1:] -= axis * scaled
    return elevated


def _enclosing_simplex(elevated: Tensor) -> tuple[Tensor, Tensor]:
    """Return the quotients by d + 1 of the corner of remainder 0, and the ranks of distances."""
    size = elevated.shape[1]
    base = (elevated / size).round()
    rank = (base * size - elevated).argsort(dim=1, stable=True).argsort(dim=1)
    # Rounding leaves the plane by a multiple of size: the farthest coordinates are moved back.
    rank += base.sum(1, keepdim=True).long()
    turn = (rank < 0).long() - (rank >= size).long()
    return base + turn, rank + size * turn


def _barycentric(difference: Tensor, rank: Tensor) -> Tensor:
    """Return (N, d + 1) weights of the corners of remainder 0 to d."""
    ordered = torch.empty_like(difference).scatter_(1, rank, difference / rank.shape[1]).flip(1)
    # The weight of corner k is the excess of coordinate d - k over the next; corner 0 wraps.
    weights = ordered - ordered.roll(1, 1)
    weights[:, 0] += 1
    return weights


def _numbered(base: Tensor, rank: Tensor, space: Tensor) -> tuple[Tensor, Tensor]:
    """Return one integer per corner (N, d + 1), and how much it grows with each quotient.

    All coordinates of a corner leave the same remainder on division by d + 1, which is the last
    digit after the quotients. The last coordinate has no digit because the sum of all is 0.
    """
    size = base.shape[1]
    quotients = base[:, :-1].long()
    low = quotients.amin(0) - 3  # room for every corner and its neighbours
    extents = [size, *(quotients.amax(0) + 3 - low + 1).tolist()]
    strides = [1]
    for extent in extents:
        strides.append(strides[-1] * extent)
    if strides[-1] * (int(space.max()) + 1) > torch.iinfo(torch.int64).max:
        raise out_of_reach(max(extents))
    digits = torch.tensor([*strides[1:-1], 0], device=base.device)
    first = (quotients - low) @ digits[:-1] + space * strides[-1]
    farthest_first = rank.argsort(dim=1, descending=True)
    # The next corner is up by 1 along all coordinates, and down by d along the next farthest.
    steps = 1 - digits[farthest_first[:, :-1]]
    return torch.cat([first[:, None], first[:, None] + steps.cumsum(1)], 1), digits


def _neighbours(points: Tensor, digits: Tensor) -> Tensor:
    """Return (d + 1, 2, M): direction j is up by d along coordinate j, down by 1 along others."""
    count, size = len(points), len(digits)
    remainder = points % size
    neighbours = torch.full((size, 2, count), count, dtype=torch.int32, device=points.device)
    for j, digit in enumerate(digits):
        wrapped = digit - digits.sum() + size - 1
        wanted = points + torch.where(remainder > 0, digit - 1, wrapped)
        place = torch.searchsorted(points, wanted).clamp_(max=count - 1)
        here = (points[place] == wanted).nonzero()[:, 0]
        neighbours[j, 0, here] = place[here].int()
        neighbours[j, 1, place[here]] = here.int()
    return neighbours
