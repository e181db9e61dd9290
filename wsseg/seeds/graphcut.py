"""GrabCut: colour mixtures of both sides and minimum cuts in turn."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.labelmaps import bounding_box
from wsseg.refine.crf.kernels import kernel
from wsseg.seeds.mincut import Grid, source_side
from wsseg.seeds.mixtures import colour_cells, split_colours, update_mixture

_STRENGTH = 50.0  # of links, as in GrabCut
_SCALE = 100  # capacities are whole numbers
_MAX_GAIN = 10_000.0
_STILL = 0.001  # share of undecided pixels: no more iterations if fewer change
_ROUNDS = 5  # of the colour models before the first cut; OpenCV runs k-means instead
_AHEAD = (
    (0, 1),
    (1, -1),
    (1, 0),
    (1, 1),
)  # (dy, dx) of neighbours 4 to 7 of a grid; 0 to 3 lie opposite
_OBJECT, _UNDECIDED = cv2.GC_FGD, cv2.GC_PR_BGD  # pixels from the second value on are undecided


def cut_out(
    image: NDArray[np.uint8],
    trimap: NDArray[np.uint8],
    iterations: int,
    edges: NDArray[np.uint8] | None = None,
) -> NDArray[np.bool_]:
    """Return the foreground (H, W) of GrabCut, or of GrabCut+ if there is an edge map.

    Neighbours p, q at distance d are linked by 50/d exp(-b e^2) with b = 1/(2 mean e^2). e is the
    colour difference, in GrabCut+ the larger edge probability of p and q. Colour models are of all
    pixels, but only undecided ones are cut. Iterations end early when hardly a pixel changes.

    Args:
        image: (H, W, 3) uint8 RGB.
        trimap: (H, W) uint8 of OpenCV's ``GC_*`` values; both sides must have a pixel.
        edges: (H, W) uint8 edge probability, 0 to 255.

    References:
        Rother et al., GrabCut, SIGGRAPH 2004, doi:10.1145/1015706.1015720; Khoreva et al.,
        Simple Does It, CVPR 2017, arXiv:1603.07485 (GrabCut+).
    """
    foreground, is_open = (trimap & 1).astype(bool), trimap >= cv2.GC_PR_BGD
    if not is_open.any():
        return foreground
    window = _window(is_open)
    grid, cells = link_neighbours(image, trimap, window, edges), colour_cells(image)
    is_open, cell = is_open[window], cells.index[window][is_open[window]]
    total, inside = cells.count(np.ones_like(foreground)), cells.count(foreground)
    sides, gain = [total - inside, inside], np.zeros(len(total), np.int32)
    nearest = [split_colours(cells.colours, counts) for counts in sides]
    models = [update_mixture(cells.colours, *side) for side in zip(sides, nearest, strict=True)]
    for iteration in range(iterations):
        for _ in range(1 if iteration else _ROUNDS):
            models = [
                update_mixture(cells.colours, counts, best)
                for counts, (_, best) in zip(sides, models, strict=True)
            ]
        margin = (models[0][0] - models[1][0]).clip(-_MAX_GAIN, _MAX_GAIN) * _SCALE
        before, gain = gain, margin.round().astype(np.int32)
        grid.terms[1:-1, 1:-1][is_open] += (gain - before)[cell]
        previous = foreground[window][is_open]
        foreground[window][is_open] = found = source_side(grid, iteration == 0)[is_open]
        changed = np.count_nonzero(found != previous)
        if changed <= _STILL * found.size or foreground.all() or not foreground.any():
            break
        inside = cells.count(foreground)
        sides = [total - inside, inside]
    return foreground


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the smallest rectangle that contains a mask (H, W), and a pixel around it."""
    left, top, right, bottom = bounding_box(mask)
    return slice(max(0, top - 1), bottom + 1), slice(max(0, left - 1), right + 1)


def link_neighbours(
    image: NDArray[np.uint8],
    trimap: NDArray[np.uint8],
    window: tuple[slice, slice],
    edges: NDArray[np.uint8] | None = None,
) -> Grid:
    """Return the grid of the undecided pixels; links to certain pixels become terms.

    Args:
        image: (H, W, 3) uint8 RGB.
        trimap: (H, W) uint8 of OpenCV's ``GC_*`` values.
        window: Index of a part that contains all undecided pixels, which becomes the grid; mean
            differences are those of the whole image.
        edges: (H, W) uint8, used in place of the colours.
    """
    barriers = np.zeros((4, *trimap.shape), np.float32)
    features = image if edges is None else edges[..., None]
    mean = _square_barriers(features, edges is not None, barriers)
    inside = np.ascontiguousarray(trimap[window])
    height, width = inside.shape[0] + 2, inside.shape[1] + 2
    grid = Grid(np.zeros((height, width, 8), np.int32), np.zeros((height, width), np.int32))
    _link(np.ascontiguousarray(barriers[:, *window]), 0.5 / max(mean, 1e-12), inside, grid)
    return grid


@kernel
def _square_barriers(features: Any, is_edge: Any, barriers: Any) -> Any:
    """Compute e^2 between each pixel and its neighbours of ``_AHEAD``; return its mean."""
    total, count = 0.0, 0
    height, width, channels = features.shape
    for y in range(height):
        for x in range(width):
            for k, (down, right) in enumerate(_AHEAD):
                if y + down < height and 0 <= x + right < width:
                    square = 0.0
                    for channel in range(channels):
                        here = np.float64(features[y, x, channel])
                        there = np.float64(features[y + down, x + right, channel])
                        barrier = max(here, there) if is_edge else here - there
                        square += barrier * barrier
                    barriers[k, y, x] = square
                    total += square
                    count += 1
    return total / count


@kernel
def _link(barriers: Any, decay: Any, trimap: Any, grid: Any) -> None:
    height, width = trimap.shape
    links, terms = grid
    for k, (down, right) in enumerate(_AHEAD):
        strength = _STRENGTH * _SCALE / np.sqrt(np.float64(down * down + right * right))
        for y in range(height - down):
            for x in range(max(0, -right), min(width, width - right)):
                here, there = trimap[y, x], trimap[y + down, x + right]
                if here < _UNDECIDED and there < _UNDECIDED:
                    continue
                link = np.int32(np.rint(strength * np.exp(-decay * barriers[k, y, x])))
                # The frame shifts rows and columns by 1.
                if here < _UNDECIDED:
                    terms[y + down + 1, x + right + 1] += link if here == _OBJECT else -link
                elif there < _UNDECIDED:
                    terms[y + 1, x + 1] += link if there == _OBJECT else -link
                else:
                    links[y + 1, x + 1, 4 + k] = link
                    links[y + down + 1, x + right + 1, 3 - k] = link
