"""Groups of near-duplicate images, by a perceptual hash."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wsseg.data.model import Sample
from wsseg.images import read_thumbnail
from wsseg.parallel import Skipped, map_locally

_SIDE = 8
_MOST_DIFFERENT = 6  # of 64 bits; unrelated images differ in about 32


def similar_groups(samples: Sequence[Sample], workers: int | None = None) -> list[str]:
    """Return a group for each image; near-duplicates, and theirs in turn, share one.

    Every image is decoded at a small size; an unreadable one is a group of its own.

    Args:
        samples: Images of distinct ids.
        workers: Number of processes; None: one per core.

    Returns:
        The first id of the group of each image.
    """
    results = map_locally(_hashed, samples, workers, strict=False)
    hashes = dict(result for result in results if not isinstance(result, Skipped))
    ids = sorted(hashes)
    components = _components(np.array([hashes[id] for id in ids], np.uint64))
    first: dict[int, str] = {}
    groups = {id: first.setdefault(n, id) for id, n in zip(ids, components.tolist(), strict=True)}
    return [groups.get(sample.id, sample.id) for sample in samples]


def difference_hash(thumbnail: NDArray[np.uint8]) -> int:
    """Return 64 bits: whether each pixel of a row is brighter than the one before.

    Args:
        thumbnail: (8, 9) gray values.

    Example:
        >>> difference_hash(np.tile(np.arange(9, dtype=np.uint8), (8, 1))) == 2**64 - 1
        True
    """
    bits = thumbnail[:, 1:] > thumbnail[:, :-1]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _hashed(sample: Sample) -> tuple[str, int]:
    thumbnail = read_thumbnail(sample.image, (_SIDE, _SIDE + 1), sample.reading)
    return sample.id, difference_hash(thumbnail)


def _components(hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return the number of the group of each hash; near ones are joined."""
    unique, places = np.unique(hashes, return_inverse=True)
    near = [_near(unique[n], unique[n + 1 :]) + n + 1 for n in range(len(unique))]
    ones = np.repeat(np.arange(len(unique)), [len(others) for others in near])
    others = np.concatenate([*near, np.array([], np.intp)])
    graph = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(len(unique),) * 2)
    components: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return components[places]


def _near(one: np.uint64, others: NDArray[np.uint64]) -> NDArray[np.intp]:
    return np.flatnonzero(np.bitwise_count(others ^ one) <= _MOST_DIFFERENT)
