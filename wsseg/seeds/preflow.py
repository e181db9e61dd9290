"""Flow through a grid by push and relabel, which is quick where flow goes far; for numba."""

from typing import Any

import numpy as np

from wsseg.refine.crf.kernels import kernel

_FAR = 1 << 29
_WORK = 1.0  # discharges of a pixel, on average, before distances are computed anew


@kernel
def push_relabel(links: Any, terms: Any, steps: Any) -> None:
    """Let pixels of positive terms push to those of negative terms until none can reach one.

    Args:
        links: (N, 8) int32 residual capacities to the neighbours, changed.
        terms: (N,) int32, changed.
        steps: (8,) uint64 from a pixel's index to those of its neighbours.

    References:
        Goldberg and Tarjan, A New Approach to the Maximum-Flow Problem, JACM 1988; with the global
        and gap relabelling of Cherkassky and Goldberg, Algorithmica 1997.
    """
    size = len(terms)
    distance, order = np.empty(size, np.int32), np.empty(size, np.uint32)
    queue, is_queued = np.empty(size, np.uint32), np.zeros(size, np.bool_)
    while True:
        reached = _measure(links, terms, steps, distance, order)
        count = 0
        for k in range(reached - 1, -1, -1):  # farthest pixels first, so that their excess merges
            i = order[k]
            if terms[i] > 0:
                queue[count], is_queued[i] = i, True
                count += 1
        if count == 0:
            return
        per_distance = np.bincount(distance[order[:reached]], minlength=size + 1)
        _discharge(links, terms, steps, distance, queue, is_queued, count, per_distance)
        is_queued[:] = False


@kernel
def _measure(links: Any, terms: Any, steps: Any, distance: Any, order: Any) -> Any:
    """Compute distances to negative terms, ``_FAR`` if there is no way; order pixels by them."""
    count = 0
    for i in range(len(terms)):
        distance[i] = _FAR
        if terms[i] < 0:
            distance[i], order[count] = 0, i
            count += 1
    first = 0
    while first < count:
        j = np.uint64(order[first])
        first += 1
        for d in range(8):
            i = j + steps[d]
            if distance[i] == _FAR and links[i, 7 - d] > 0:
                distance[i], order[count] = distance[j] + 1, i
                count += 1
    return count


@kernel
def _discharge(
    links: Any,
    terms: Any,
    steps: Any,
    distance: Any,
    queue: Any,
    is_queued: Any,
    count: Any,
    per_distance: Any,
) -> None:
    """Push from pixels in turn, until nothing is left to do or distances are outdated."""
    size, head, work, gap = len(terms), 0, _WORK * per_distance.sum(), len(terms)
    while count > 0 and work > 0:
        i = np.uint64(queue[head])
        head = head + 1 if head + 1 < size else 0
        count -= 1
        is_queued[i] = False
        excess = terms[i]
        # Beyond a distance that no pixel has, none can reach a negative term.
        while excess > 0 and distance[i] < gap:
            work -= 1
            nearest = _FAR
            for d in range(8):
                if links[i, d] == 0:
                    continue
                j = i + steps[d]
                if distance[j] != distance[i] - 1:
                    nearest = min(nearest, distance[j])
                    continue
                flow = min(excess, links[i, d])
                links[i, d] -= flow
                links[j, 7 - d] += flow
                terms[j] += flow
                excess -= flow
                if terms[j] > 0 and not is_queued[j]:
                    place = head + count
                    queue[place if place < size else place - size] = j
                    is_queued[j] = True
                    count += 1
                if excess == 0:
                    break
                if links[i, d] > 0:
                    nearest = min(nearest, distance[j])
            if excess > 0:
                per_distance[distance[i]] -= 1
                if per_distance[distance[i]] == 0:
                    gap = min(gap, distance[i])
                distance[i] = min(nearest + 1, _FAR)
                if distance[i] < gap:
                    per_distance[distance[i]] += 1
        terms[i] = excess
