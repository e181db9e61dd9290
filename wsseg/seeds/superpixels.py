"""Seeds from strokes by superpixels: small regions of one colour that take the class of a mark."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.color import rgb2lab
from skimage.segmentation import slic

from wsseg.data.constraints import Constraints
from wsseg.data.model import Sample
from wsseg.seeds.markers import OUTSIDE, UNMARKED, Marks, labels_of, marks_of, resized
from wsseg.seeds.params import SeedParams

_SHORTEST = 1e-3  # Lab units; scipy takes a distance of 0 for no link


def superpixel_votes(
    image: NDArray[np.uint8],
    constraints: Constraints,
    sample: Sample,  # noqa: ARG001
    settings: SeedParams,
    rng: np.random.Generator,  # noqa: ARG001
) -> NDArray[np.uint8]:
    """Return superpixels filled with the class of most of their marks.

    A superpixel without a mark takes the class from which the way over its neighbours changes
    colour least, if that is no more than ``settings.superpixel_spread``; else it is IGNORE. Without
    a mark of the background, superpixels at the image's frame spread IGNORE in its place.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow; known pixels are the marks.
        sample: Not needed.
        settings: Its ``max_side``, ``superpixels``, ``superpixel_compactness`` and
            ``superpixel_spread``.
        rng: Not needed; nothing is random.

    Returns:
        (H, W) uint8; marks are kept.

    References:
        Achanta et al., SLIC Superpixels Compared to State-of-the-art Superpixel Methods, TPAMI
        2012, doi:10.1109/TPAMI.2012.120.
    """
    marks = marks_of(image, constraints, settings.max_side)
    regions = superpixels_of(marks.pixels, settings.superpixels, settings.superpixel_compactness)
    markers = _majority(regions, marks)
    if settings.superpixel_spread > 0 and (markers != UNMARKED).any():
        markers = _spread(
            markers, _links(regions, rgb2lab(marks.pixels)), settings.superpixel_spread
        )
    label_map = labels_of(markers)[regions]
    return constraints.project(resized(label_map, constraints.allowed.shape[1:]))


def superpixels_of(image: NDArray[np.uint8], count: int, compactness: float) -> NDArray[np.intp]:
    """Return connected regions of similar colour.

    Args:
        image: (h, w, 3) uint8 RGB; its range of values is stretched to the full one first.
        count: About as many regions.
        compactness: Weight of nearness beside Lab colour: higher makes them squarer.

    Returns:
        (h, w) region numbers from 0, none left out.
    """
    count = min(count, image.shape[0] * image.shape[1])
    found = slic(image, count, compactness, convert2lab=True, start_label=0, channel_axis=-1)
    regions: NDArray[np.intp] = np.unique(found, return_inverse=True)[1].reshape(found.shape)
    return regions


def _majority(regions: NDArray[np.intp], marks: Marks) -> NDArray[np.int32]:
    """(R,) marker of each region: that of most marked pixels, the lowest of equals."""
    votes = np.zeros((regions.max() + 1, OUTSIDE + 1), np.intp)
    np.add.at(votes, (regions, marks.markers), 1)
    votes[:, UNMARKED] = 0
    votes[votes[:, :OUTSIDE].any(axis=1), OUTSIDE] = 0  # the frame yields to any stroke
    majority: NDArray[np.int32] = votes.argmax(axis=1).astype(np.int32)
    return majority


def _links(regions: NDArray[np.intp], colours: NDArray[np.floating]) -> coo_array:
    """(R, R) differences of mean colour between neighbours."""
    region, number = regions.ravel(), int(regions.max()) + 1
    sums = [np.bincount(region, colours[..., k].ravel()) for k in range(3)]
    means = np.stack(sums, axis=1) / np.bincount(region)[:, None]
    across, down = (regions[:, 1:], regions[:, :-1]), (regions[1:], regions[:-1])
    pairs = [here.ravel() * number + there.ravel() for here, there in (across, down)]
    one, other = np.divmod(np.unique(np.concatenate(pairs)), number)
    apart = one != other
    one, other = one[apart], other[apart]
    lengths = np.linalg.norm(means[one] - means[other], axis=1).clip(_SHORTEST)
    return coo_array((lengths, (one, other)), shape=(number, number))


def _spread(markers: NDArray[np.int32], links: coo_array, limit: float) -> NDArray[np.int32]:
    starts = np.flatnonzero(markers != UNMARKED)
    options: dict[str, Any] = {"directed": False, "min_only": True, "return_predecessors": True}
    _, _, nearest = dijkstra(links, indices=starts, limit=limit, **options)
    reached = nearest >= 0
    return np.where(reached, markers[np.where(reached, nearest, 0)], UNMARKED).astype(np.int32)
