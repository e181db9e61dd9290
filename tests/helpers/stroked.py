"""Small scenes with strokes on them, for the tests of seeds from strokes."""

from contextlib import contextmanager

import numpy as np
import pytest
from helpers.examples import example_from

from wsseg.data.constraints import Constraints
from wsseg.labelmaps import IGNORE
from wsseg.seeds import strokes, superpixels, walker
from wsseg.seeds.apply import Seed
from wsseg.seeds.params import GrabCutParams

PARAMS = {strokes.grabcut_strokes: GrabCutParams}


def disc(size=(70, 80), centre=(35, 40), radius=20):
    """A red disc on green, both with noise, and where it is."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    inside = (rows + 0.5 - centre[0]) ** 2 + (columns + 0.5 - centre[1]) ** 2 <= radius**2
    colours = np.where(inside[..., None], (200, 60, 40), (40, 160, 70))
    noise = np.random.default_rng(1).normal(0, 4, (*size, 3))
    return (colours + noise).clip(0, 255).astype(np.uint8), inside


def cross(size=(70, 80), label=1):
    """A scribble on the middle of an image and a stroke of background above it."""
    known = unknown(*size)
    known[size[0] // 2, size[1] // 2 - 8 : size[1] // 2 + 8] = label
    known[4:6, 5:-5] = 0
    return known


def unknown(*size):
    return np.full(size, IGNORE, np.uint8)


def stroked(image, known, classes=(0, 1, 3)):
    allowed = np.ones((len(classes), *known.shape), bool)
    fixed = known != IGNORE
    allowed[:, fixed] = np.array(classes)[:, None] == known[fixed]
    return image, Constraints(np.array(classes, np.uint8), allowed)


def seeded(seed, image, constraints, number=0, **chosen):
    """The label map of a seed from strokes, with parameters of its own."""
    arguments = {"params": PARAMS[seed](**chosen)} if seed in PARAMS else {}
    example = example_from(image, constraints=constraints)
    return Seed("", seed, arguments)(example, np.random.default_rng(number))


@contextmanager
def at_most(longest):
    """Images of seeds from strokes are downscaled to this longer side."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (strokes, walker, superpixels):
            patch.setattr(module, "MAX_SIDE", longest)
        yield


def iou(one, other):
    return (one & other).sum() / (one | other).sum()
