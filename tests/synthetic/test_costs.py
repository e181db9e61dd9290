from functools import partial
from pathlib import Path

import pytest
from helpers import builders

from wsseg.data.annotation import Box, Boxes, MaskFile, Region, Regions, Tags
from wsseg.data.strokes import Scribble, Strokes
from wsseg.synthetic import costs
from wsseg.synthetic.costs import seconds_of

CLICK, LINE = Scribble(1, ((1, 1),)), Scribble(0, ((1, 1), (9, 9)))
TWO_BOXES = Boxes((Box(1, 0, 0, 5, 5), Box(2, 3, 3, 9, 9)))
SQUARE = Region(1, ((0, 0, 5, 0, 5, 5),))


sample = partial(builders.sample, size=(20, 20))


@pytest.mark.parametrize(
    ("annotations", "seconds"),
    [
        ((), 0),
        ((Tags(()),), 20),
        ((Tags((1, 2)),), 20),
        ((TWO_BOXES,), 70),
        ((Boxes(()),), 0),
        ((Strokes((CLICK,)),), 18.5 + 2.4),
        ((Strokes((CLICK, CLICK)),), 18.5 + 2.4 + 0.9),
        ((Strokes((CLICK, Scribble(2, ((1, 1),)), CLICK)),), 18.5 + 2 * 2.4 + 0.9),
        ((Strokes((CLICK, LINE)),), 18.5 + 2.4 + 10.9),
        ((Strokes((LINE,) * 228),), 18.5 + 228 * 10.9),
        ((Strokes(()),), 0),
        ((MaskFile(Path("a.png")),), 240),
        ((Regions((SQUARE, SQUARE)),), 240),
        ((Regions((SQUARE, SQUARE), partial=True),), 160),
        ((Tags((1,)), TWO_BOXES, Strokes((CLICK,))), 20 + 70 + 18.5 + 2.4),
    ],
)
def test_seconds_are_those_published_and_add_up(annotations, seconds):
    assert seconds_of(sample(*annotations)) == pytest.approx(seconds)


def test_boxes_of_extreme_clicks_are_cheaper():
    assert seconds_of(sample(TWO_BOXES, Tags((1,))), costs.EXTREME_BOX) == 14 + 20
