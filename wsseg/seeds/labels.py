"""The result of a seed for one image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Candidates:
    """The masks that a model proposed for one object, which the report shows.

    Attributes:
        label: Class of the object.
        window: (top, bottom, left, right) of the masks in the image, in pixels.
        masks: (N, h, w) bool, of any resolution.
        best: Index of the best mask; -1 if all were refused.
    """

    label: int
    window: tuple[int, int, int, int]
    masks: NDArray[np.bool_]
    best: int


@dataclass(frozen=True, eq=False)
class SeedLabels:
    """A label map, and what a seed can say about it without truth.

    Attributes:
        label_map: (H, W) uint8.
        stats: Statistics of classes by name, such as ``{3: {"stability": 0.9}}``; signals of label
            quality are among them (``wsseg.metrics.signals.SIGNALS``).
        candidates: The masks of each object, if the seed compares several.
    """

    label_map: NDArray[np.uint8]
    stats: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    candidates: Sequence[Candidates] = ()
