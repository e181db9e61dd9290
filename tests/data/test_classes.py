from functools import partial

import numpy as np
import pytest
from helpers import builders

from wsseg.data.annotation import Box, Boxes, MaskFile, Region, Regions, Tags
from wsseg.data.classes import candidate_classes, is_only_tagged, tags_of
from wsseg.data.strokes import Scribble, Strokes
from wsseg.labelmaps import write_label_map

SIZE = (8, 10)
CLICK = Scribble(2, ((4.5, 3.5),), width=1)
PART = Region(3, ((0.0, 6.0, 3.0, 6.0, 3.0, 8.0, 0.0, 8.0),))


sample = partial(builders.sample, size=SIZE)


@pytest.mark.parametrize(
    ("annotations", "possible", "tags"),
    [
        ((), (0, 1, 2, 3, 4), None),
        ((Tags((3,), (1,)),), (0, 1, 3), Tags((3,), (1,))),
        ((Boxes((Box(3, 2, 1, 6, 5),)),), (0, 3), Tags((3,))),
        ((Boxes(()),), (0,), Tags(())),
        ((Strokes((CLICK,)),), (0, 2), Tags((2,))),
        ((Strokes((CLICK,), closed=False),), (0, 1, 2, 3, 4), None),
        ((Strokes((CLICK,), closed=False), Tags((3,), (2,))), (0, 2, 3), Tags((2, 3))),
        ((Regions((PART,), partial=True),), (0, 3), Tags((3,))),
        ((Regions((PART,), partial=True, closed=False),), (0, 1, 2, 3, 4), None),
        ((Regions((PART,)),), (0, 1, 2, 3, 4), Tags((3,))),
        (
            (Strokes((CLICK,)), Regions((PART,), partial=True, closed=False)),
            (0, 1, 2, 3, 4),
            None,
        ),
        ((Strokes((CLICK,)), Boxes((Box(3, 2, 1, 6, 5),))), (0, 2, 3), Tags((2, 3))),
    ],
)
def test_what_is_drawn_names_the_classes(annotations, possible, tags):
    assert candidate_classes(sample(*annotations), 5) == possible
    assert tags_of(sample(*annotations)) == tags


def test_a_mask_names_the_classes_that_it_holds(tmp_path):
    write_label_map(tmp_path / "a.png", np.array([[0, 2, 255], [4, 4, 0]], np.uint8))
    assert tags_of(sample(MaskFile(tmp_path / "a.png"))) == Tags((2, 4))


def test_only_tags_are_only_tags():
    assert is_only_tagged(sample(Tags(())))
    assert not is_only_tagged(sample())
    assert not is_only_tagged(sample(Tags((1,)), Strokes((CLICK,))))
