import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsseg.synthetic import centrelines
from wsseg.synthetic.centrelines import centreline


def path_through(shape):
    mask = np.pad(shape, 1)
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return mask, centreline(mask, depth)


def is_a_path(mask, path):
    steps = np.abs(np.diff(path, axis=0)).max(axis=1)
    return mask[path[:, 0], path[:, 1]].all() and (steps == 1).all()


@pytest.mark.parametrize("deepest", [64, 2])
@given(
    shape=arrays(bool, st.tuples(*[st.integers(1, 7)] * 2)).filter(np.any),
    scale=st.integers(1, 6),
)
@settings(deadline=None)
def test_it_is_a_path_through_the_shape(deepest, shape, scale):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(centrelines, "_MAX_DEPTH", deepest)
        mask, path = path_through(np.kron(shape, np.ones((scale, scale), bool)))
    assert len(path) and is_a_path(mask, path)


def test_it_leads_from_one_end_to_the_other():
    shape = np.zeros((100, 100), bool)
    shape[:20, :] = shape[:, :20] = True
    mask, path = path_through(shape)
    ends = {tuple((end > 60).tolist()) for end in (path[0], path[-1])}
    assert ends == {(True, False), (False, True)} and is_a_path(mask, path)


def test_of_several_parts_the_deepest_counts():
    shape = np.zeros((40, 200), bool)
    shape[:30, :30], shape[20:23, 60:] = True, True
    assert path_through(shape)[1][:, 1].max() <= 30


def test_a_disc_gets_a_chord():
    rows, columns = np.mgrid[:81, :81]
    _, path = path_through(np.hypot(rows - 40, columns - 40) <= 40)
    assert len(path) >= 75


def test_large_shapes_give_the_way_of_small_ones():
    small = np.zeros((60, 90), bool)
    small[5:25, 5:85] = small[5:55, 65:85] = True
    large = np.kron(small, np.ones((20, 20), bool))
    _, expected = path_through(small)
    mask, found = path_through(large)
    assert is_a_path(mask, found)
    gaps = np.hypot(*np.moveaxis(found[::20, None] / 20 - expected, 2, 0)).min(axis=1)
    assert gaps.max() < 3
