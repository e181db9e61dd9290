"""Examples whose image and constraints are arrays in memory."""

from pathlib import Path

import numpy as np

from wsseg.data.example import example_of
from wsseg.data.model import Sample


def example_from(image=None, *annotations, constraints=None, size=None, n_classes=9):
    """An example; ``constraints`` take the place of what the annotations impose."""
    if image is None:
        image = np.zeros((*size, 3), np.uint8)
    sample = Sample("a", Path("a.png"), image.shape[:2], annotations, "train")
    example = example_of(sample, n_classes, image)
    if constraints is not None:
        example.__dict__["constraints"] = constraints
    return example
