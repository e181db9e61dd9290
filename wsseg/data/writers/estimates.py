"""How good labels look by estimate: images worst first, and a list of them."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd

from wsseg.data.model import Classes, Sample

Estimates = Mapping[str, Mapping[int, float]]
"""Image id -> class -> 0..1, higher where its labels look better; only what is known."""

DIGITS = 4
"""Of an estimate, where it is written."""


def estimates_in(signals: pd.DataFrame) -> Estimates:
    """Return the estimates that stand in a table of signals.

    Args:
        signals: A row for each class in each image: "id", "class", "estimate".

    Returns:
        The estimates that are numbers.
    """
    found: dict[str, dict[int, float]] = {}
    for row in signals.dropna(subset="estimate").to_dict("records"):
        found.setdefault(row["id"], {})[row["class"]] = row["estimate"]
    return found


def quality_of(known: Mapping[int, float]) -> float | None:
    """Return the quality of an image's labels.

    Args:
        known: Its estimates by class.

    Returns:
        Their mean, 0..1; None where there is none.

    Example:
        >>> quality_of({1: 0.25, 4: 0.5})
        0.375
    """
    return round(fmean(known.values()), DIGITS) if known else None


def worst_first(samples: Sequence[Sample], estimates: Estimates) -> list[Sample]:
    """Return images in the order in which a person should look at them.

    Args:
        samples: The images.
        estimates: Of their labels.

    Returns:
        Those of low quality first, those without an estimate last; else in the given order.
    """

    def quality(sample: Sample) -> float:
        known = quality_of(estimates.get(sample.id, {}))
        return math.inf if known is None else known

    return sorted(samples, key=quality)


def write_quality(
    path: Path, classes: Classes, samples: Iterable[Sample], estimates: Estimates
) -> None:
    """Write a CSV with a row for each image.

    The columns are rank (from 1), image (its id), quality, worst_class (a name) and the estimate of
    that class; the last three are empty where there is no estimate.

    Args:
        path: The file.
        classes: The class names.
        samples: The images, worst first.
        estimates: Of their labels.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["rank", "image", "quality", "worst_class", "estimate"])
        for rank, sample in enumerate(samples, 1):
            rows.writerow([rank, sample.id, *_worst(estimates.get(sample.id, {}), classes)])


def _worst(known: Mapping[int, float], classes: Classes) -> tuple[object, ...]:
    if not known:
        return ("", "", "")
    label = min(known, key=known.__getitem__)
    return quality_of(known), classes.names[label], round(known[label], DIGITS)
