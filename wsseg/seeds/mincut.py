"""Exact minimum cuts of pixels that are linked to their eight neighbours, compiled by numba."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.kernels import kernel
from wsseg.seeds.preflow import push_relabel

_FREE, _SOURCE, _SINK = 0, 1, 2  # trees
_TERMINAL, _ORPHAN, _NONE = 8, 9, 10  # ways to a parent; 0 to 7 lead to neighbours
_FAR = 1 << 30


class Grid(NamedTuple):
    """Pixels with a frame around them, and their residual capacities.

    Flow leaves residual capacities whose minimum cuts are the same, so that terms may be added
    after a cut, and the next cut starts from the flow of the one before (Kohli and Torr, Dynamic
    Graph Cuts, TPAMI 2007).

    Attributes:
        links: (h + 2, w + 2, 8) int32, capacities to the neighbours in reading order, at least 0;
            0 from and to the frame. The direction back from direction d is 7 - d.
        terms: (h + 2, w + 2) int32, cost of the sink's side minus cost of the source's side;
            positive values are capacities from the source, negative ones to the sink.
    """

    links: NDArray[np.int32]
    terms: NDArray[np.int32]


def source_side(grid: Grid, is_first: bool) -> NDArray[np.bool_]:
    """Return the smallest source side (h, w) of a minimum cut, and change the grid by its flow.

    References:
        Boykov and Kolmogorov, An Experimental Comparison of Min-Cut/Max-Flow Algorithms for Energy
        Minimization in Vision, TPAMI 2004, doi:10.1109/TPAMI.2004.60.
    """
    size, count = grid.terms.shape, grid.terms.size
    tree = np.zeros(count, np.uint8)
    _maximise_flow(grid.links.reshape(count, 8), grid.terms.reshape(count), size[1], tree, is_first)
    side: NDArray[np.bool_] = tree.reshape(size)[1:-1, 1:-1] == _SOURCE
    return side


# The arrays are arguments one by one: numba counts references when it takes them out of an object,
# which costs as much as the search. Indices in memory are unsigned, as numba has to test signed
# ones for their sign while it follows a path. Of each pixel (n = (h + 2)(w + 2) of them):
#   tree (n,) uint8: free, source or sink
#   parent (n,) uint32: the next pixel towards the terminal; way (n,) uint8: the direction to it
#   distance (n,) int32: length of that path; stamp (n,) int32: the time when it was checked
#   active, orphans (n,) uint32: queues of pixels; is_active (n,) bool


@kernel
def _maximise_flow(links: Any, terms: Any, width: Any, tree: Any, is_first: Any) -> None:
    signed = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    steps = signed.astype(np.uint64)
    _flow_to_neighbours(links, terms, steps)
    if is_first:
        push_relabel(links, terms, steps)
    size, head, count, time = len(terms), 0, 0, 0
    way, parent = np.full(size, _NONE, np.uint8), np.zeros(size, np.uint32)
    stamp, distance = np.zeros(size, np.int32), np.zeros(size, np.int32)
    active, is_active = np.zeros(size, np.uint32), np.zeros(size, np.bool_)
    orphans = np.zeros(size, np.uint32)
    for k in range(size):
        if terms[k] != 0:
            tree[k] = _SOURCE if terms[k] > 0 else _SINK
            way[k], distance[k] = _TERMINAL, 1
            active[count], is_active[k] = k, True
            count += 1
    while count > 0:
        i = np.uint64(active[head])
        head = head + 1 if head + 1 < size else 0
        count -= 1
        is_active[i] = False
        while tree[i] != _FREE:
            d, count = _grow(
                i, links, steps, tree, way, parent, stamp, distance, active, is_active, head, count
            )
            time += 1
            if d == _NONE:
                break
            j = i + steps[d]
            if tree[i] == _SOURCE:
                left = _augment(i, j, d, links, terms, way, parent, orphans)
            else:
                left = _augment(j, i, 7 - d, links, terms, way, parent, orphans)
            count = _adopt(
                left,
                orphans,
                links,
                steps,
                tree,
                way,
                parent,
                stamp,
                distance,
                active,
                is_active,
                head,
                count,
                time,
            )


@kernel
def _flow_to_neighbours(links: Any, terms: Any, steps: Any) -> None:
    """Let flow take paths of one link, which is quicker than to search for them."""
    for k in range(len(terms)):
        i = np.uint64(k)
        term = terms[i]
        if term <= 0:
            continue
        for d in range(8):
            j = i + steps[d]
            if links[i, d] > 0 and terms[j] < 0:
                flow = min(term, -terms[j], links[i, d])
                links[i, d] -= flow
                links[j, 7 - d] += flow
                terms[j] += flow
                term -= flow
                if term == 0:
                    break
        terms[i] = term


@kernel
def _activate(i: Any, active: Any, is_active: Any, head: Any, count: Any) -> Any:
    """Append a pixel to the queue of those that may grow; return the queue's length."""
    if is_active[i]:
        return count
    place = head + count
    active[place if place < len(active) else place - len(active)] = i
    is_active[i] = True
    return count + 1


@kernel
def _grow(
    i: Any,
    links: Any,
    steps: Any,
    tree: Any,
    way: Any,
    parent: Any,
    stamp: Any,
    distance: Any,
    active: Any,
    is_active: Any,
    head: Any,
    count: Any,
) -> Any:
    """Add free neighbours to a pixel's tree; return the way to the other tree, if any."""
    side = tree[i]
    for d in range(8):
        j = i + steps[d]
        if (links[i, d] if side == _SOURCE else links[j, 7 - d]) == 0:
            continue
        if tree[j] == _FREE:
            tree[j] = side
            count = _activate(j, active, is_active, head, count)
        elif tree[j] != side:
            return d, count
        elif stamp[j] > stamp[i] or distance[j] <= distance[i]:
            continue
        way[j], parent[j] = 7 - d, i
        stamp[j], distance[j] = stamp[i], distance[i] + 1
    return _NONE, count


@kernel
def _augment(
    i: Any, j: Any, d: Any, links: Any, terms: Any, way: Any, parent: Any, orphans: Any
) -> Any:
    """Let flow take the path through pixel i of the source's tree and j of the sink's.

    Returns:
        The number of orphans: pixels to which nothing can flow from their parents, or the reverse.
    """
    flow, k = links[i, d], i
    while way[k] != _TERMINAL:
        up = way[k]
        k = np.uint64(parent[k])
        flow = min(flow, links[k, 7 - up])
    flow, k = min(flow, terms[k]), j
    while way[k] != _TERMINAL:
        flow = min(flow, links[k, way[k]])
        k = np.uint64(parent[k])
    flow = min(flow, -terms[k])
    links[i, d] -= flow
    links[j, 7 - d] += flow
    count, k = 0, i
    while way[k] != _TERMINAL:
        child, up = k, way[k]
        k = np.uint64(parent[k])
        links[child, up] += flow
        links[k, 7 - up] -= flow
        if links[k, 7 - up] == 0:
            way[child], orphans[count] = _ORPHAN, child
            count += 1
    terms[k] -= flow
    if terms[k] == 0:
        way[k], orphans[count] = _ORPHAN, k
        count += 1
    k = j
    while way[k] != _TERMINAL:
        child, up = k, way[k]
        k = np.uint64(parent[k])
        links[k, 7 - up] += flow
        links[child, up] -= flow
        if links[child, up] == 0:
            way[child], orphans[count] = _ORPHAN, child
            count += 1
    terms[k] += flow
    if terms[k] == 0:
        way[k], orphans[count] = _ORPHAN, k
        count += 1
    # Those next to the terminals come first: others may find their parents among them.
    for k in range(count // 2):
        orphans[k], orphans[count - 1 - k] = orphans[count - 1 - k], orphans[k]
    return count


@kernel
def _adopt(
    left: Any,
    orphans: Any,
    links: Any,
    steps: Any,
    tree: Any,
    way: Any,
    parent: Any,
    stamp: Any,
    distance: Any,
    active: Any,
    is_active: Any,
    head: Any,
    count: Any,
    time: Any,
) -> Any:
    """Give each orphan the neighbour nearest to the terminal as parent, or make it free.

    Returns:
        The number of active pixels.
    """
    first, size = 0, len(tree)
    while left > 0:
        i = np.uint64(orphans[first])
        first = first + 1 if first + 1 < size else 0
        left -= 1
        side, nearest, least = tree[i], _NONE, _FAR
        for d in range(8):
            j = i + steps[d]
            if tree[j] == side and (links[j, 7 - d] if side == _SOURCE else links[i, d]) > 0:
                length = _path_length(j, way, parent, stamp, distance, time)
                if length < least:
                    nearest, least = d, length
                if least == 1:
                    break
        way[i] = nearest
        if nearest != _NONE:
            parent[i] = i + steps[nearest]
            stamp[i], distance[i] = time, least + 1
            continue
        tree[i] = _FREE
        for d in range(8):
            j = i + steps[d]
            if tree[j] != side:
                continue
            if (links[j, 7 - d] if side == _SOURCE else links[i, d]) > 0:
                count = _activate(j, active, is_active, head, count)
            if way[j] == 7 - d:
                last = first + left
                way[j], orphans[last if last < size else last - size] = _ORPHAN, j
                left += 1
    return count


@kernel
def _path_length(i: Any, way: Any, parent: Any, stamp: Any, distance: Any, time: Any) -> Any:
    """Return the length of a pixel's path to the terminal; ``_FAR`` if it ends at an orphan.

    A stamp of this time says that a pixel's distance is known.
    """
    length, k = 0, i
    while stamp[k] != time:
        if way[k] >= _TERMINAL:
            if way[k] != _TERMINAL:
                return _FAR
            stamp[k], distance[k] = time, 1
        else:
            length += 1
            k = np.uint64(parent[k])
    length += distance[k]
    remaining, k = length, i
    while stamp[k] != time:
        stamp[k], distance[k] = time, remaining
        remaining -= 1
        k = np.uint64(parent[k])
    return length
