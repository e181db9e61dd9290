import numpy as np
import pytest

from wsseg.data.name_patterns import COPIES, FRAMES, TILES, group_pattern


def one_class(n):
    return np.ones((n, 1), bool)


@pytest.mark.parametrize(
    ("ids", "pattern"),
    [
        ([f"v{v}/f{f}" for v in range(3) for f in range(4)], FRAMES),
        ([f"v{v}_{f}" for v in range(3) for f in range(0, 120, 30)], FRAMES),
        ([f"s{s}_{y}_{x}" for s in range(3) for y in (0, 256) for x in (0, 256)], TILES),
        ([f"p{p}_jpg.rf.{copy}" for p in range(4) for copy in "ab"], COPIES),
        ([f"img_{n:04}" for n in range(20)], None),  # one group
        ([f"{n:012}" for n in range(20)], None),
        ([f"{y}_{n:06}" for y in (2007, 2008) for n in (3, 70, 95, 301)], None),
        ([f"{letter}" for letter in "abcdef"], None),
    ],
)
def test_patterns_of_names(ids, pattern):
    assert group_pattern(ids, one_class(len(ids))) == pattern


def test_names_that_are_classes_are_no_groups():
    ids = [f"{name}/{n}" for name in ("cow", "sheep") for n in range(5)]
    shows = np.repeat(np.eye(2, dtype=bool), 5, axis=0)
    assert group_pattern(ids, shows) is None


def test_one_group_is_no_pattern_even_if_no_class_is_known():
    assert group_pattern([f"im{n}" for n in range(4)], np.zeros((4, 2), bool)) is None
