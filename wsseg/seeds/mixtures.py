"""Gaussian mixtures of the colours of an image's parts, on cells of similar colours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.kernels import kernel

COMPONENTS = 5
"""Gaussians of a mixture, as in GrabCut."""

_BITS = 7  # of each channel that tell cells apart: a cell is a cube of 2 grey levels
_NOISE = np.eye(3) * 2**2 / 12  # covariance of the colours in a full cell, which has but one mean
_ROUNDING = 1e-6  # grey levels from a mean that are no distance
_ROWS, _COLUMNS = np.triu_indices(3)


@dataclass(frozen=True, eq=False)
class Cells:
    """The colours of an image, similar ones taken together.

    Attributes:
        colours: (M, 3) float64, the mean colour of each cell.
        index: (H, W) intp, the cell of each pixel.
    """

    colours: NDArray[np.float64]
    index: NDArray[np.intp]

    def count(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the number of pixels (M,) of each cell in a mask (H, W)."""
        return np.bincount(self.index[mask], minlength=len(self.colours)).astype(np.float64)


def colour_cells(image: NDArray[np.uint8]) -> Cells:
    """Return the colours of an image (H, W, 3) in cells of 2 grey levels a channel."""
    index = np.empty(image.shape[:2], np.intp)
    sums = np.zeros((index.size, 4))
    occupied = sums[: _number_cells(image, np.zeros(1 << 3 * _BITS, np.int32), index, sums)]
    return Cells(occupied[:, 1:] / occupied[:, :1], index)


def split_colours(colours: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the cluster (M,) of each colour, 0 to 4: the widest is split in two, four times.

    Clusters are split at their mean, across the direction of their largest variance. There are
    fewer of them where there are fewer colours.

    Args:
        colours: (M, 3).
        counts: (M,) pixels of each colour, some above 0.

    References:
        Orchard and Bouman, Color Quantization of Images, IEEE Transactions on Signal Processing
        1991, doi:10.1109/78.107417, which GrabCut's authors start from.
    """
    cluster = np.zeros(len(colours), np.intp)
    for new in range(1, COMPONENTS):
        sizes, means, covariances = _moments(colours, counts, cluster)
        widths, directions = np.linalg.eigh(covariances * sizes[:, None, None])
        widest = int(widths[:, -1].argmax())
        direction = np.ascontiguousarray(directions[widest, :, -1])
        if not _split(colours, counts, cluster, widest, new, means[widest], direction):
            break
    return cluster


def update_mixture(
    colours: NDArray[np.float64], counts: NDArray[np.float64], nearest: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Fit a Gaussian to each cluster of colours, and return the negative log-likelihood of all.

    Args:
        colours: (M, 3).
        counts: (M,) pixels of each colour, some above 0.
        nearest: (M,) the component of each colour, 0 to 4.

    Returns:
        (M,) -log of weight times density at the most probable component, without the constant
        of all densities, and (M,) that component.
    """
    sizes, means, covariances = _moments(colours, counts, nearest)
    covariances += _NOISE
    heights = 0.5 * np.log(np.linalg.det(covariances)) - np.log(sizes / sizes.sum())
    cost, best = np.empty(len(colours)), np.zeros(len(colours), np.intp)
    _explain(
        *np.ascontiguousarray(colours.T), heights, means, np.linalg.inv(covariances), cost, best
    )
    return cost, best


def _moments(
    colours: NDArray[np.float64], counts: NDArray[np.float64], cluster: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return pixels (K,), mean (K, 3) and covariance (K, 3, 3) of the clusters with pixels."""
    sums = np.zeros((COMPONENTS, 10))
    _add_moments(colours, counts, cluster, sums)
    sums = sums[sums[:, 0] > 0]
    means, second = sums[:, 1:4] / sums[:, :1], np.empty((len(sums), 3, 3))
    second[:, _ROWS, _COLUMNS] = second[:, _COLUMNS, _ROWS] = sums[:, 4:] / sums[:, :1]
    return sums[:, 0], means, second - means[:, :, None] * means[:, None]


@kernel
def _number_cells(image: Any, numbers: Any, index: Any, sums: Any) -> Any:
    """Number cells from 1 as they occur, and add up the pixels and colours of each."""
    count = 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            code = np.int64(0)
            for channel in range(3):
                code = (code << _BITS) | (np.int64(image[y, x, channel]) >> (8 - _BITS))
            if numbers[code] == 0:
                count += 1
                numbers[code] = count
            cell = numbers[code] - 1
            index[y, x] = cell
            sums[cell, 0] += 1
            for channel in range(3):
                sums[cell, 1 + channel] += image[y, x, channel]
    return count


@kernel
def _split(
    colours: Any, counts: Any, cluster: Any, old: Any, new: Any, mean: Any, direction: Any
) -> Any:
    """Move the colours of a cluster that are beyond its mean; return whether pixels have them."""
    moved = 0.0
    for i in range(len(colours)):
        if cluster[i] == old:
            offset = 0.0
            for channel in range(3):
                offset += (colours[i, channel] - mean[channel]) * direction[channel]
            if offset > _ROUNDING:
                cluster[i] = new
                moved += counts[i]
    return moved > 0


@kernel
def _add_moments(colours: Any, counts: Any, nearest: Any, moments: Any) -> None:
    for i in range(len(colours)):
        if counts[i] > 0:
            row = moments[nearest[i]]
            row[0] += counts[i]
            place = 4
            for a in range(3):
                row[1 + a] += counts[i] * colours[i, a]
                for b in range(a, 3):
                    row[place] += counts[i] * colours[i, a] * colours[i, b]
                    place += 1


@kernel
def _explain(
    red: Any,
    green: Any,
    blue: Any,
    heights: Any,
    means: Any,
    precisions: Any,
    cost: Any,
    best: Any,
) -> None:
    cost[:] = np.inf
    for k in range(len(heights)):
        p, (r, g, b) = precisions[k], (means[k, 0], means[k, 1], means[k, 2])
        for i in range(len(cost)):
            x, y, z = red[i] - r, green[i] - g, blue[i] - b
            squares = p[0, 0] * x * x + p[1, 1] * y * y + p[2, 2] * z * z
            mixed = p[0, 1] * x * y + p[0, 2] * x * z + p[1, 2] * y * z
            value = heights[k] + 0.5 * squares + mixed
            is_better = value < cost[i]
            best[i] = k if is_better else best[i]
            cost[i] = value if is_better else cost[i]
