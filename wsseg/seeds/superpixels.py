"""Seeds from strokes by superpixels: small regions of one colour take the class of a mark."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.color import rgb2lab
from skimage.segmentation import slic

from wsseg.data.example import Example
from wsseg.seeds.grabcut import MAX_SIDE
from wsseg.seeds.markers import OUTSIDE, UNMARKED, Markers, labels_of, markers_of, resize_nearest

# Superpixels per image, approximately; chosen on 55 photographs (docs/log.md, section 10).
_COUNT = 400
_COMPACTNESS = 10.0  # weight of position beside Lab colour: larger values give squarer regions
_MAX_CHANGE = 20.0  # Lab units, over which superpixels without a mark take the class of others
_MIN_LENGTH = 1e-3  # Lab units; scipy reads a distance of 0 as no link


def superpixel_votes(example: Example) -> NDArray[np.uint8]:
    """Return superpixels filled with the class of most of their marks.

    A superpixel without a mark takes the class from which the path over neighbours changes colour
    least, if the change is at most 20 Lab units; else it is IGNORE. If no background is
    marked, superpixels at the image's border spread IGNORE instead.

    References:
        Achanta et al., SLIC Superpixels Compared to State-of-the-art Superpixel Methods, TPAMI
        2012, doi:10.1109/TPAMI.2012.120.
    """
    marks = markers_of(example, MAX_SIDE)
    regions = segment_superpixels(marks.pixels, _COUNT)
    markers = _majority(regions, marks)
    if (markers != UNMARKED).any():
        markers = _spread(markers, _links(regions, rgb2lab(marks.pixels)), _MAX_CHANGE)
    return resize_nearest(labels_of(markers)[regions], example.sample.size)


def segment_superpixels(image: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
    """Return connected regions of similar colour, numbered from 0 without gaps.

    Args:
        image: (h, w, 3) uint8 RGB; its range of values is stretched to the full one first.
    """
    count = min(count, image.shape[0] * image.shape[1])
    segments = slic(image, count, _COMPACTNESS, convert2lab=True, start_label=0, channel_axis=-1)
    return np.unique(segments, return_inverse=True)[1].reshape(segments.shape)


def _majority(regions: NDArray[np.intp], marks: Markers) -> NDArray[np.int32]:
    """Return (R,) the marker of most marked pixels of each region, the lowest of equals."""
    votes = np.zeros((regions.max() + 1, OUTSIDE + 1), np.intp)
    np.add.at(votes, (regions, marks.markers), 1)
    votes[:, UNMARKED] = 0
    votes[votes[:, :OUTSIDE].any(axis=1), OUTSIDE] = 0  # any stroke wins over the border
    return np.asarray(votes.argmax(axis=1), np.int32)


def _links(regions: NDArray[np.intp], colours: NDArray[np.floating]) -> coo_array:
    """Return (R, R) differences of mean colour between neighbours."""
    region, count = regions.ravel(), int(regions.max()) + 1
    sums = [np.bincount(region, colours[..., k].ravel()) for k in range(3)]
    means = np.stack(sums, axis=1) / np.bincount(region)[:, None]
    beside = regions[:, 1:].ravel() * count + regions[:, :-1].ravel()
    below = regions[1:].ravel() * count + regions[:-1].ravel()
    first, second = np.divmod(np.unique(np.concatenate([beside, below])), count)
    differ = first != second
    first, second = first[differ], second[differ]
    lengths = np.linalg.norm(means[first] - means[second], axis=1).clip(_MIN_LENGTH)
    return coo_array((lengths, (first, second)), shape=(count, count))


def _spread(markers: NDArray[np.int32], links: coo_array, limit: float) -> NDArray[np.int32]:
    starts = np.flatnonzero(markers != UNMARKED)
    options: dict[str, Any] = {"directed": False, "min_only": True, "return_predecessors": True}
    _, _, nearest = dijkstra(links, indices=starts, limit=limit, **options)
    reached = nearest >= 0
    return np.where(reached, markers[np.where(reached, nearest, 0)], UNMARKED).astype(np.int32)
