"""How good labels probably are, from their signals and perhaps a few pixel labels."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from wsseg.metrics.signals import SIGNALS

PRIOR = ("confidence", "kept", "fill", "touched", "ignored", "resets", "area")
"""Signals that told of bad labels from boxes and from tags alike: docs/log.md, section 12."""

_LEAST = 20  # classes in images with pixel labels, to learn from
_STRENGTHS = np.logspace(-2, 3, 16)


def estimated_quality(signals: pd.DataFrame, known: pd.Series | None = None) -> pd.Series:
    """Return one score for each class in each image: higher where labels look better.

    Each signal counts by its rank among all rows, so that neither its unit nor an outlier matters.
    Without pixel labels the score is the mean rank of the signals of ``PRIOR``, good signs up. With
    those of at least 20 rows it is the IoU to expect: a line through that mean, corrected by a
    ridge regression on the ranks of all signals. A class that has no pixel scores 0: nothing of
    it can be right.

    Args:
        signals: A row for each class in each image, a column for each of ``SIGNALS``; NaN where
            one does not apply.
        known: True IoU, 0..1, of some rows, whose labels were made without their masks; by index
            of ``signals``.

    Returns:
        0..1 by row.
    """
    ranks = ranked(signals)
    prior = ranks[[name for name in PRIOR if name in ranks]].mean(axis=1)
    gone = signals["area"] == 0
    if known is None or len(known) < _LEAST:
        return prior.mask(gone, 0.0)
    slope, level = np.polyfit(prior[known.index], known, 1)
    line = max(slope, 0) * prior + level
    model = RidgeCV(_STRENGTHS).fit(ranks.loc[known.index], known - line[known.index])
    learned = pd.Series(line + model.predict(ranks), signals.index)
    return learned.clip(0, 1).mask(gone, 0.0)


def ranked(signals: pd.DataFrame) -> pd.DataFrame:
    """Return signals as ranks: 1 for the best sign of all rows, near 0 for the worst.

    Args:
        signals: As of ``estimated_quality``.

    Returns:
        The same columns, .5 where a signal does not apply; signals that are nowhere are left out.
    """
    there = [name for name in SIGNALS if name in signals and signals[name].notna().any()]
    good = pd.DataFrame({name: signals[name] * SIGNALS[name][1] for name in there}, signals.index)
    return good.rank(pct=True).fillna(0.5)


def agreement(score: pd.Series, iou: pd.Series, share: float = 0.1) -> tuple[float, float]:
    """Return how well a score finds the labels that are bad in truth.

    Args:
        score: Higher where labels look better.
        iou: True IoU of the same rows.
        share: Of the rows that count as bad.

    Returns:
        Spearman's rank correlation, -1..1, and which part of the ``share`` with the lowest scores
        is among the ``share`` with the lowest IoU, 0..1; of equal scores a fair part counts.
    """
    count = max(1, round(share * len(iou)))
    bad = iou.rank(method="first") <= count
    order = pd.DataFrame({"score": score, "bad": bad}).groupby("score").bad.agg(["sum", "size"])
    before = order["size"].cumsum() - order["size"]
    taken = (count - before).clip(0, order["size"])
    found = (order["sum"] * taken / order["size"]).sum()
    return float(spearmanr(score, iou).statistic), float(found / count)
