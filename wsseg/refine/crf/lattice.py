"""Gaussian filtering of scattered points on the permutohedral lattice, in torch operations."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from wsseg.refine.crf.model import out_of_reach


@dataclass(frozen=True, eq=False)
class Lattice:
    """A Gaussian filter over N points: splat onto M lattice points, blur there, slice back.

    Sums have a fixed order, so that results repeat, on a GPU too.

    Attributes:
        corners: (N, d + 1) int32, the lattice points of each point's simplex.
        weights: (N, d + 1) float32, barycentric, which sum to 1 a point.
        points: (N (d + 1),) int32, the points around each lattice point, one after the other.
        shares: (N (d + 1),) float32, their weights in the same order.
        starts: (M,) int32, where those of each lattice point start.
        neighbours: (d + 1, 2, M) int32, the next lattice points either way along each direction;
            M where there is none.
    """

    corners: Tensor
    weights: Tensor
    points: Tensor
    shares: Tensor
    starts: Tensor
    neighbours: Tensor

    def __call__(self, field: Tensor) -> Tensor:
        """Return a filtered field (N, C) float32, up to a factor that is the same for all."""
        values = embedding_bag(
            self.points, field, self.starts, mode="sum", per_sample_weights=self.shares
        )
        for ahead, behind in self.neighbours:
            padded = torch.cat([values, values.new_zeros(1, values.shape[1])])
            values = values + (padded[ahead] + padded[behind]) / 2
        return embedding_bag(self.corners, values, mode="sum", per_sample_weights=self.weights)


def build_lattice(features: Tensor, space: Tensor) -> Lattice:
    """Return the lattice of a Gaussian kernel of standard deviation 1 between features.

    Args:
        features: (N, d) float32 positions in units of the kernel's standard deviation.
        space: (N,) int64 from 0 on; points of different spaces never meet, however near.

    Returns:
        The lattice, on the features' device.

    Raises:
        InputError: The features reach so far that lattice points cannot be numbered.

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


def _elevated(features: Tensor) -> Tensor:
    """(N, d + 1) on the plane of zero sum, scaled so that the whole filter has deviation 1."""
    d = features.shape[1]
    axis = torch.arange(1, d + 1, device=features.device)
    scaled = features * ((2 / 3) ** 0.5 * (d + 1) / (axis * (axis + 1)).sqrt())
    elevated = features.new_zeros(len(features), d + 1)
    elevated[:, :d] = scaled.flip(1).cumsum(1).flip(1)
    elevated[:, 1:] -= axis * scaled
    return elevated


def _enclosing_simplex(elevated: Tensor) -> tuple[Tensor, Tensor]:
    """Quotients by d + 1 of the corner of remainder 0, and the rank of each one's distance."""
    size = elevated.shape[1]
    base = (elevated / size).round()
    rank = (base * size - elevated).argsort(dim=1, stable=True).argsort(dim=1)
    # rounding leaves the plane by a multiple of size: the farthest coordinates go back
    rank += base.sum(1, keepdim=True).long()
    turn = (rank < 0).long() - (rank >= size).long()
    return base + turn, rank + size * turn


def _barycentric(difference: Tensor, rank: Tensor) -> Tensor:
    """(N, d + 1) weights of the corners of remainder 0 to d."""
    ordered = torch.empty_like(difference).scatter_(1, rank, difference / rank.shape[1]).flip(1)
    # corner k weighs what coordinate d - k exceeds the next one by; corner 0 wraps around
    weights = ordered - ordered.roll(1, 1)
    weights[:, 0] += 1
    return weights


def _numbered(base: Tensor, rank: Tensor, space: Tensor) -> tuple[Tensor, Tensor]:
    """One integer for each corner (N, d + 1), and by how much it grows with each quotient.

    All coordinates of a corner leave the same remainder on division by d + 1: it follows the
    quotients as the last digit. The last coordinate has no digit, as the sum of all is 0.
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
    # the next corner is up by 1 along all coordinates, but down by d along the next farthest
    steps = 1 - digits[farthest_first[:, :-1]]
    return torch.cat([first[:, None], first[:, None] + steps.cumsum(1)], 1), digits


def _neighbours(points: Tensor, digits: Tensor) -> Tensor:
    """(d + 1, 2, M): direction j goes up by d along coordinate j, down by 1 along all others."""
    count, size = len(points), len(digits)
    remainder = points % size
    neighbours = torch.full((size, 2, count), count, dtype=torch.int32, device=points.device)
    for j, digit in enumerate(digits):
        wrapped = digit - digits.sum() + size - 1
        wanted = points + torch.where(remainder > 0, digit - 1, wrapped)
        found = torch.searchsorted(points, wanted).clamp_(max=count - 1)
        here = (points[found] == wanted).nonzero()[:, 0]
        neighbours[j, 0, here] = found[here].int()
        neighbours[j, 1, found[here]] = here.int()
    return neighbours
