"""Rules that end rounds, or warn that labels get worse, from signals and without the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from wsseg.data.model import Classes
from wsseg.metrics.bootstrap import Interval, mean_interval

MIN_GAIN = 0.005
"""Gain of agreement that a round must bring for another one to be worth it."""

LEVEL = 0.9
"""Level of the interval of the gain: 5 % are left out on either side."""

MAX_VANISHED = 0.05
"""Share of the classes in images without a label left at which labels count as worse."""

MIN_IMAGES = 8
"""Fewer images are not compared."""

MIN_AGREEMENT = 1 / 3
"""Agreement below which a network has learned little."""

DOUBTFUL_AGREEMENT = 0.5
"""Agreement below which it has, if annotations had to replace most of its predictions, too."""

MOST = 2 / 3
"""Share of the boxes that were reset, or of the classes in images that were not predicted, that is
most of them."""

MIN_AREA = 0.1
"""Share of its first area below which a class counts as lost."""


@dataclass(frozen=True)
class Verdict:
    """The judgement of a round by its signals.

    Attributes:
        stage: Name of the round, such as "round-2".
        images: The images whose annotations are compared: "validation" or "training".
        agreement: Mean of ``annotation_agreement``, 0..1, of the round's network; NaN if unknown.
        gain: Change of ``agreement`` since the round before; None if there is nothing to compare.
        churn: Mean of 1 - IoU with the labels of the stage before.
        resets: Share, 0..1, of the boxes that were reset to their first label; NaN without boxes.
        vanished: Share, 0..1, of the classes with first labels in an image that the network does
            not predict there, or that have no label left. Restored labels do not count.
        emptied: The same after first labels were restored.
        lost: Classes that have less than ``MIN_AREA`` of their first area.
        is_judged: Whether there are enough images to judge the agreement itself.
    """

    stage: str
    images: str
    agreement: float
    gain: Interval | None
    churn: float
    resets: float
    vanished: float
    emptied: float
    lost: tuple[str, ...]
    is_judged: bool

    @property
    def learned_little(self) -> bool:
        """True if the predictions have little to do with the annotations.

        Resets alone say nothing: half of the boxes were reset in runs that went well.
        """
        is_replaced = self.resets >= MOST or self.vanished >= MOST
        least = DOUBTFUL_AGREEMENT if is_replaced else MIN_AGREEMENT
        return self.is_judged and self.agreement < least

    @property
    def falls(self) -> bool:
        """True if the network agrees less with the annotations than that of the round before."""
        return self.gain is not None and self.gain.high < 0 and self.gain.value <= -MIN_GAIN

    @property
    def has_lost_classes(self) -> bool:
        """True if classes are disappearing from the labels."""
        return bool(self.lost) or self.emptied >= MAX_VANISHED

    @property
    def worse(self) -> bool:
        """True if the labels are getting worse."""
        return self.falls or self.has_lost_classes

    @property
    def enough(self) -> bool:
        """True if another round is not worth it."""
        rises = self.gain is None or (self.gain.low > 0 and self.gain.value >= MIN_GAIN)
        return self.learned_little or self.worse or not rises

    @property
    def word(self) -> str:
        """The verdict in a few words."""
        if self.learned_little:
            return "the network has learned little"
        return "labels get worse" if self.worse else "enough" if self.enough else "go on"

    @property
    def reason(self) -> str:
        """The reason of the verdict, as a sentence without a full stop."""
        if self.learned_little:
            return f"more steps, not more rounds ({self._shortfall})"
        if self.lost:
            return f"almost nothing is left of {', '.join(self.lost)}"
        if self.emptied >= MAX_VANISHED:
            return f"{100 * self.emptied:.1f} % of the classes in images have vanished"
        if self.gain is None:
            return "there is no earlier round, or too few images, to compare it with"
        if self.falls:
            return "the network agrees less with the annotations than that of the round before"
        better = "no better" if self.enough else "better"
        return f"the network agrees {better} with the annotations than that of the round before"

    @property
    def _shortfall(self) -> str:
        parts = [f"its predictions agree to {100 * self.agreement:.0f} % with the annotations"]
        if self.resets > 0:
            parts.append(f"{100 * self.resets:.0f} % of the boxes were reset")
        if self.vanished > 0:
            parts.append(f"{100 * self.vanished:.0f} % of the classes in images were not predicted")
        return ", ".join(parts)


def judge_rounds(
    signals: Mapping[str, pd.DataFrame],
    agreement: Mapping[str, pd.Series],
    corrections: Mapping[str, pd.DataFrame],
    classes: Classes,
    images: str = "validation",
) -> list[Verdict]:
    """Return a verdict on each round.

    A round was worth it if its network agrees better with the annotations than the one before, on
    the same classes in the same images. A rise below ``MIN_GAIN``, or within chance (bootstrap over
    images), does not count. The network's confidence is not used: it rises on wrong labels too.

    Args:
        signals: Tables of signals by stage, the seeds first; by index of image and class.
        agreement: Agreement of each round's network with the annotations, by image and class.
        corrections: What cleaning changed in each round, by image and class: "boxes", "resets" and
            "missed" (1 if the network predicts nothing of the class), as far as they apply.
        images: The images of ``agreement``: "validation" or "training".
    """
    stages = [*signals]
    first = signals[stages[0]] if stages else pd.DataFrame()
    return [
        Verdict(
            name,
            images=images,
            agreement=float(agreement[name].mean()),
            gain=_gain(agreement[before], agreement[name]) if before in agreement else None,
            churn=float(signals[name]["churn"].mean()),
            resets=_reset_share(corrections[name]),
            vanished=_vanished(first, signals[name], _column(corrections[name], "missed")),
            emptied=_vanished(first, signals[name]),
            lost=_lost(first, signals[name], classes),
            is_judged=_image_count(agreement[name].dropna()) >= MIN_IMAGES,
        )
        for before, name in pairwise(stages)
    ]


def best_round(verdicts: list[Verdict]) -> str:
    """Return the round whose network agrees best; rounds without lost classes come first."""

    def merit(verdict: Verdict) -> tuple[bool, float]:
        known = not np.isnan(verdict.agreement)
        return not verdict.has_lost_classes, verdict.agreement if known else -np.inf

    return max(verdicts, key=merit).stage


def _gain(before: pd.Series, now: pd.Series) -> Interval | None:
    change = (now - before).dropna()
    if change.empty:
        return None
    if _image_count(change) < MIN_IMAGES:
        return None
    images = change.index.get_level_values("id").factorize()[0]
    return mean_interval(change.to_numpy(float), images, LEVEL)


def _image_count(values: pd.Series) -> int:
    return values.index.get_level_values("id").nunique() if len(values) else 0


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name].fillna(0) if name in table else pd.Series(dtype=float)


def _reset_share(table: pd.DataFrame) -> float:
    boxes = _column(table, "boxes").sum()
    return float(_column(table, "resets").sum() / boxes) if boxes else np.nan


def _vanished(first: pd.DataFrame, now: pd.DataFrame, missed: pd.Series | None = None) -> float:
    shown = _shared(first, now).query("area > 0").index
    gone = now["area"].reindex(shown).fillna(0) == 0
    if missed is not None:
        gone |= missed.reindex(shown).fillna(0) > 0
    return float(gone.mean()) if len(shown) else 0.0


def _lost(first: pd.DataFrame, now: pd.DataFrame, classes: Classes) -> tuple[str, ...]:
    before, after = (table["area"].groupby("class").sum() for table in (_shared(first, now), now))
    left = after.reindex(before.index).fillna(0) / before.where(before > 0, np.nan)
    return tuple(classes.names[int(label)] for label in left.index[left < MIN_AREA])


def _shared(first: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The rows of images that were not skipped since."""
    return first[first.index.isin(now.index.get_level_values("id"), level="id")]
