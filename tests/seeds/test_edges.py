import itertools

import cv2
import numpy as np
import pytest
from scipy.sparse import coo_array

from wsseg.seeds.edges import _cut, _link_neighbours, _number_nodes, cut_along_edges


def cut_cost(links, nodes, margin, foreground):
    side = np.zeros(links.shape[0], bool)
    side[0] = True
    side[nodes.ravel()] = foreground.ravel()
    crossing = links.data[side[links.row] & ~side[links.col]].sum()
    undecided = nodes > 1
    lost = np.where(foreground, (-margin).clip(0), margin.clip(0))
    return crossing + lost[undecided].sum()


@pytest.mark.parametrize("seed", range(6))
def test_the_cut_is_the_cheapest_of_all(seed):
    rng = np.random.default_rng(seed)
    trimap = np.full((3, 4), cv2.GC_PR_FGD, np.uint8)
    trimap[0, 0], trimap[2, 3] = cv2.GC_BGD, cv2.GC_FGD
    nodes = _number_nodes(trimap)
    links = _link_neighbours(rng.random((3, 4)), nodes)
    margin = rng.normal(0, 60, (3, 4))
    free = np.argwhere(nodes > 1)
    costs = []
    for choice in itertools.product((False, True), repeat=len(free)):
        foreground = trimap == cv2.GC_FGD
        foreground[tuple(free.T)] = choice
        costs.append(cut_cost(links, nodes, margin, foreground))
    found = _cut(nodes, links, margin)
    assert found[2, 3]
    assert not found[0, 0]
    assert cut_cost(links, nodes, margin, found) == pytest.approx(min(costs), abs=1)


def test_links_join_the_eight_neighbours_both_ways():
    nodes = np.arange(2, 14).reshape(3, 4)
    links = coo_array(_link_neighbours(np.zeros((3, 4)), nodes)).toarray()
    np.testing.assert_array_equal(links, links.T)
    assert sorted(np.flatnonzero(links[7])) == [2, 3, 4, 6, 8, 10, 11, 12]
    assert links[7, 6] == pytest.approx(50)
    assert links[7, 2] == pytest.approx(50 / np.sqrt(2))


def noise_with_edge(column):
    """Noise whose colours say nothing of the sides, so that only the edge can."""
    image = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    edges = np.zeros((24, 40))
    edges[:, column] = 1
    trimap = np.full((24, 40), cv2.GC_PR_BGD, np.uint8)
    trimap[:, 20:] = cv2.GC_PR_FGD
    trimap[:, :4] = cv2.GC_BGD
    trimap[:, -4:] = cv2.GC_FGD
    return image, edges, trimap


@pytest.mark.parametrize("column", [14, 20, 26])
def test_the_boundary_lies_on_the_edge(column):
    foreground = cut_along_edges(*noise_with_edge(column), iterations=1, seed=0)
    starts = foreground.argmax(axis=1)
    assert (abs(starts - column) <= 1).all()


def test_sure_pixels_stay_and_inputs_are_unchanged():
    image, edges, trimap = noise_with_edge(20)
    copies = image.copy(), edges.copy(), trimap.copy()
    foreground = cut_along_edges(image, edges, trimap, iterations=5, seed=0)
    assert not foreground[:, :4].any()
    assert foreground[:, -4:].all()
    for now, before in zip((image, edges, trimap), copies, strict=True):
        np.testing.assert_array_equal(now, before)


def test_one_colour_is_no_division_by_zero():
    trimap = np.full((6, 6), cv2.GC_PR_FGD, np.uint8)
    trimap[0] = cv2.GC_BGD
    image = np.full((6, 6, 3), 7, np.uint8)
    foreground = cut_along_edges(image, np.zeros((6, 6)), trimap, iterations=5, seed=0)
    assert not foreground[0].any()
