import itertools

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow

from wsseg.seeds.mincut import Grid, source_side

AHEAD = {4: (0, 1), 5: (1, -1), 6: (1, 0), 7: (1, 1)}
START = pytest.mark.parametrize("is_first", [True, False])


def random_grid(rng, height, width, strength=60):
    """A grid with random links, the same both ways, and random terms."""
    links = np.zeros((height + 2, width + 2, 8), np.int32)
    for direction, (down, right) in AHEAD.items():
        for y, x in np.ndindex(height, width):
            if y + down < height and 0 <= x + right < width:
                link = rng.integers(0, strength)
                links[y + 1, x + 1, direction] = link
                links[y + 1 + down, x + 1 + right, 7 - direction] = link
    terms = np.zeros((height + 2, width + 2), np.int32)
    terms[1:-1, 1:-1] = rng.integers(-100, 101, (height, width))
    return Grid(links, terms)


def copy(grid):
    return Grid(grid.links.copy(), grid.terms.copy())


def energy(grid, side):
    """The capacity of the links that a cut crosses, plus the terms that it pays."""
    padded = np.pad(side, 1)
    crossed = 0
    for direction, (down, right) in AHEAD.items():
        there = np.roll(padded, (-down, -right), (0, 1))
        crossed += grid.links[padded != there, direction].sum()
    return crossed + np.where(padded, -grid.terms, grid.terms).clip(0).sum()


def largest_flow(grid):
    """The value of the maximum flow, by scipy."""
    number = np.arange(grid.terms.size).reshape(grid.terms.shape)
    width, (source, sink) = grid.terms.shape[1], (number.size, number.size + 1)
    steps = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    y, x, direction = grid.links.nonzero()
    terms = grid.terms.ravel()
    givers, takers = np.flatnonzero(terms > 0), np.flatnonzero(terms < 0)
    start = np.r_[number[y, x], np.full(givers.size, source), takers]
    end = np.r_[number[y, x] + steps[direction], givers, np.full(takers.size, sink)]
    capacity = np.r_[grid.links[y, x, direction], terms[givers], -terms[takers]]
    graph = coo_array((capacity.astype(np.int32), (start, end)), (sink + 1, sink + 1)).tocsr()
    return maximum_flow(graph, source, sink).flow_value


@START
@pytest.mark.parametrize("seed", range(4))
def test_the_cut_is_the_cheapest_of_all(seed, is_first):
    grid = random_grid(np.random.default_rng(seed), 3, 4)
    choices = itertools.product((False, True), repeat=12)
    least = min(energy(grid, np.reshape(choice, (3, 4))) for choice in choices)
    assert energy(grid, source_side(copy(grid), is_first)) == least


@START
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (40, 1), (17, 31), (45, 40)])
@pytest.mark.parametrize("strength", [2, 20, 200])
def test_the_cut_costs_what_can_flow(size, strength, is_first):
    grid = random_grid(np.random.default_rng(strength), *size, strength)
    assert energy(grid, source_side(copy(grid), is_first)) == largest_flow(grid)


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_to_start_find_the_same_cut(seed):
    grid = random_grid(np.random.default_rng(seed), 30, 50, 40)
    one, other = (source_side(copy(grid), is_first) for is_first in (True, False))
    np.testing.assert_array_equal(one, other)


def test_a_cut_may_go_on_with_other_terms():
    rng = np.random.default_rng(0)
    grid = random_grid(rng, 25, 30)
    used = copy(grid)
    source_side(used, is_first=True)
    for _ in range(3):
        change = rng.integers(-80, 81, (25, 30), dtype=np.int32)
        for changed in (grid, used):
            changed.terms[1:-1, 1:-1] += change
        again = source_side(used, is_first=False)
        np.testing.assert_array_equal(again, source_side(copy(grid), is_first=True))


@START
def test_without_terms_all_pixels_are_on_the_side_of_the_sink(is_first):
    grid = random_grid(np.random.default_rng(0), 4, 5)
    grid.terms[:] = 0
    assert not source_side(grid, is_first).any()
