"""Declared masks: those of some training images, from which the estimate of quality learns."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from wsseg.data.classes import has_full_mask
from wsseg.data.load import read_ids
from wsseg.data.model import Sample
from wsseg.data.truth import Truth
from wsseg.errors import InputError
from wsseg.files import write_text
from wsseg.stages.measure import pair_ious

DECLARED = "declared.txt"
"""In a run's folder: the images with declared masks, one id a line."""


def declare_masks(run: Path, listed: Path, samples: Sequence[Sample], truth: Truth) -> None:
    """Record in a run's folder which images' masks may be used; an empty list revokes it.

    Args:
        listed: File with an image id a line, as of ``wsseg select``. The run must not have learned
            from these masks, or their labels would say nothing about the other labels.
        samples: The run's training images.

    Raises:
        InputError: The list names no training image, or one without a mask, or one whose mask the
            run was given.
    """
    ids, known = read_ids(listed), {sample.id: sample for sample in samples}
    for image in ids:
        if image not in known:
            remedy = "list images of data.train"
            raise InputError(listed, "a list of training images", repr(image), remedy)
        if has_full_mask(known[image]):
            rule, remedy = "a list of images whose masks the run was not given", "remove it"
            raise InputError(listed, rule, f"{image!r} with its mask", remedy)
        if not truth.covers(known[image]):
            rule, remedy = "a list of images with masks", "draw its mask or remove it"
            raise InputError(listed, rule, f"{image!r} without", remedy)
    write_text(run / DECLARED, "".join(f"{image}\n" for image in ids))


def declared_ious(run: Path, name: str) -> pd.Series:
    """Return the IoU, 0..1, of a stage's labels in the images with declared masks.

    It is indexed by image id and class, and empty without ``declare_masks``.
    """
    if not (run / DECLARED).exists():
        return pd.Series(dtype=float)
    ious = pair_ious(run, name)
    return ious[ious.index.isin(read_ids(run / DECLARED), level=0)] if len(ious) else ious
