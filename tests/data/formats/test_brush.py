import numpy as np
import pytest
from helpers.brush import LENGTHS, packed, plain_runs, rgba
from hypothesis import given, settings
from hypothesis import strategies as st

from wsseg.data.annotation import Region
from wsseg.data.constraints import region_mask
from wsseg.data.formats.brush import brush_mask, brush_runs
from wsseg.errors import InputError


def test_a_stroke_is_read_row_by_row():
    mask = np.array([[0, 1, 1], [0, 0, 1]], bool)
    data = packed(rgba(mask), plain_runs(rgba(mask)))
    assert brush_mask(data, (2, 3)).tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("value", "covered"),
    [((9, 9, 9, 0), False), ((0, 0, 0, 1), True), ((255, 0, 7, 255), True), ((0, 0, 0, 0), False)],
)
@pytest.mark.parametrize("as_one", [True, False])
def test_what_counts_is_alpha(value, covered, as_one):
    values = list(value) * 6
    runs = plain_runs(values) if as_one else [(24, False)]
    assert brush_mask(packed(values, runs), (2, 3)).all() == covered
    assert brush_mask(packed(values, runs), (2, 3)).any() == covered


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    lengths=st.sampled_from([LENGTHS, (1, 2, 5, 9), (16, 1, 1, 2), (7, 7, 7, 9)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_division_into_runs_gives_the_same_pixels(size, lengths, seed):
    random = np.random.default_rng(seed)
    colours = np.array([(0, 0, 0, 0), (5, 5, 5, 5), (255, 0, 3, 128), (1, 2, 3, 0)])
    drawn = colours[random.integers(0, len(colours), size)]
    values, runs, first = drawn.ravel(), [], 0
    while first < len(values):
        rest = values[first:]
        as_one = bool(random.integers(2))
        most = int((np.cumsum(rest != rest[0]) == 0).sum()) if as_one else len(rest)
        runs.append((int(random.integers(1, most + 1)), as_one))
        first += runs[-1][0]
    assert (brush_mask(packed(values, runs, lengths), size) == (drawn[..., 3] > 0)).all()


def test_runs_are_those_of_coco():
    mask = np.random.default_rng(0).random((11, 7)) < 0.5
    values = rgba(mask, (9, 0, 0, 40))
    found = brush_runs(list(packed(values, plain_runs(values))), (11, 7))
    assert (region_mask(Region(1, rle=found), (11, 7)) == mask).all()


def whole():
    return packed(rgba(np.ones((2, 3), bool)), [(24, True)])


@pytest.mark.parametrize("value", [None, "AAEC", {}, [256], [-1], [1.5], ["1"], [None], [[1]]])
def test_only_bytes_are_read(value):
    with pytest.raises(InputError, match=r"rle must be a list of bytes, got .*; export it again"):
        brush_runs(value, (2, 3))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        whole()[:4],
        whole()[:6],
        packed([255] * 24, [(24, True)], count=25),
        packed([255] * 24, [(24, True)], count=2**32 - 1),
        packed([255] * 24, [(24, True)], bits=16),
        packed([255] * 24, [(24, True)], bits=1),
    ],
)
def test_a_head_that_is_not_of_the_image_is_refused(data):
    with pytest.raises(InputError, match="8 bits for each of 4 channels of 6 pixels"):
        brush_mask(data, (2, 3))


@pytest.mark.parametrize(
    "data",
    [
        whole()[:8],
        packed([255] * 24, [(23, True)]),
        packed([255] * 24, [(25, True)], count=24),
        packed([255] * 24, [(24, False)])[:-1],
        packed([255] * 24, [(2**16, False)]),
    ],
)
def test_runs_that_do_not_fill_the_image_are_refused(data):
    with pytest.raises(InputError, match="rle must be of 24 values, got a run from"):
        brush_mask(data, (2, 3))


def test_a_size_that_no_image_has_takes_no_memory():
    claimed = packed([0] * 4, [(4, True)], count=2**32 - 4)
    with pytest.raises(InputError, match="of an image of at most"):
        brush_mask(claimed, (2**15, 2**15 - 1))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_bytes_give_a_mask_or_an_input_error(data):
    values = rgba(np.random.default_rng(1).random((5, 6)) < 0.5, (200, 0, 0, 200))
    written = bytearray(packed(values, plain_runs(values)))
    for _ in range(data.draw(st.integers(1, 3))):
        written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert brush_mask(bytes(written), (5, 6)).shape == (5, 6)
    except InputError as error:
        assert error.subject == "rle"
