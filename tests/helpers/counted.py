"""Counts of label maps from arrays."""

import numpy as np

from wsseg.data.model import Classes
from wsseg.metrics.counts import LabelCounts, count_labels
from wsseg.metrics.objects import ObjectCounts

CLASSES = Classes(("background", "cow", "sheep"))


def measured(pairs):
    """The result of ``read_counts`` for predictions and truths of 3 classes."""
    rows = [
        (image, row)
        for image, (prediction, truth) in enumerate(pairs)
        for row in count_labels(prediction, truth, 3)
    ]

    def column(key):
        return np.array([row[key] for _, row in rows], np.int64)

    ids = tuple(f"image-{number}" for number in range(len(pairs)))
    image = np.array([number for number, _ in rows], np.intp)
    counts = {key: column(key) for key in ("confusion", "predicted", "boundary")}
    label = column("class").astype(np.intp)
    none = np.zeros((0, len(ObjectCounts._fields)))
    confidence = np.zeros((2, 3, 1), np.int64)
    return LabelCounts(CLASSES, ids, image, label, **counts, objects=none, confidence=confidence)
