"""Small scenes with strokes on them, for the tests of seeds from strokes."""

from pathlib import Path

import numpy as np

from wsseg.data.constraints import Constraints
from wsseg.data.model import Sample
from wsseg.labelmaps import IGNORE
from wsseg.seeds.params import SeedParams


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
    sample = Sample("a", Path("a.png"), image.shape[:2], (), "train")
    rng = np.random.default_rng(number)
    return seed(image, constraints, sample, SeedParams(**chosen), rng)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()
