"""The annotations that seeds of marks can start from."""

import numpy as np
from numpy.typing import NDArray

from wsseg.data.custom import CustomAnnotation
from wsseg.data.model import Sample
from wsseg.labelmaps import IGNORE

_SPARSE = 0.5  # share of known pixels below which a mask file is treated like strokes


def is_marked(sample: Sample, known: NDArray[np.uint8]) -> bool:
    """Return whether some known pixels are evidence for others: marks, or a sparse mask file.

    Args:
        known: (H, W) uint8, IGNORE where unknown.
    """
    if sample.marks or any(isinstance(a, CustomAnnotation) for a in sample.annotations):
        return True
    return not sample.boxes and 0 < float((known != IGNORE).mean()) < _SPARSE
