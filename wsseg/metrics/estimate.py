"""Estimated quality of labels, from their signals and perhaps a few masks."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from wsseg.metrics.signals import SIGNALS

PRIOR = (
    *("confidence", "kept", "fill", "touched", "ignored", "resets", "area"),
    *("spread", "stability", "predicted_iou"),
)
"""Signals that ranked bad labels from boxes and from tags alike, and those of SAM that did:
docs/log.md, sections 12 and 20."""

_MIN_KNOWN = 20  # classes in images with masks, to learn from
_STRENGTHS = np.logspace(-2, 3, 16)


def estimate_quality(signals: pd.DataFrame, known: pd.Series | None = None) -> pd.Series:
    """Return one score for each class in each image: higher for labels that are probably better.

    Each signal counts by its rank among all rows, so that neither its unit nor an outlier matters.
    Without masks the score is the mean rank of the signals of ``PRIOR``, good signs up. With the
    true IoU of at least 20 rows it is the expected IoU: a line through that mean, corrected by a
    ridge regression on the ranks of all signals. A class without a pixel scores 0.

    Args:
        signals: A row for each class in each image, a column for each of ``SIGNALS``; NaN where
            one does not apply.
        known: True IoU, 0..1, of some rows, whose labels were made without their masks; by index
            of ``signals``.

    Returns:
        0..1 by row.
    """
    ranks = rank_signals(signals)
    prior = ranks[[name for name in PRIOR if name in ranks]].mean(axis=1)
    is_gone = signals["area"] == 0
    if known is None or len(known) < _MIN_KNOWN:
        return prior.mask(is_gone, 0.0)
    slope, level = np.polyfit(prior[known.index], known, 1)
    line = max(slope, 0) * prior + level
    model = RidgeCV(_STRENGTHS).fit(ranks.loc[known.index], known - line[known.index])
    learned = pd.Series(line + model.predict(ranks), signals.index)
    return learned.clip(0, 1).mask(is_gone, 0.0)


def rank_signals(signals: pd.DataFrame) -> pd.DataFrame:
    """Return signals as ranks: 1 for the best sign of all rows, near 0 for the worst.

    A signal that does not apply to a row counts as .5; one that applies nowhere is left out.
    """
    known = [name for name in SIGNALS if name in signals and signals[name].notna().any()]
    good = pd.DataFrame({name: signals[name] * SIGNALS[name] for name in known}, signals.index)
    return good.rank(pct=True).fillna(0.5)


def ranking_quality(score: pd.Series, iou: pd.Series, share: float = 0.1) -> tuple[float, float]:
    """Return how well a score finds bad labels.

    Args:
        score: Higher for labels that look better.
        iou: True IoU of the same rows.
        share: Share of the rows that count as bad.

    Returns:
        Spearman's rank correlation, -1..1, and the recall, 0..1, of the ``share`` of rows with the
        lowest IoU among the ``share`` with the lowest scores; equal scores count in proportion.
    """
    count = max(1, round(share * len(iou)))
    bad = iou.rank(method="first") <= count
    order = pd.DataFrame({"score": score, "bad": bad}).groupby("score").bad.agg(["sum", "size"])
    before = order["size"].cumsum() - order["size"]
    taken = (count - before).clip(0, order["size"])
    recalled = (order["sum"] * taken / order["size"]).sum()
    return float(spearmanr(score, iou).statistic), float(recalled / count)
