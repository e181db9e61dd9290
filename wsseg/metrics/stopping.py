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

MIN_AREA = 0.1
"""Share of its first area below which a class counts as lost."""


@dataclass(frozen=True)
class Verdict:
    """The judgement of a round by its signals.

    Attributes:
        stage: Name of the round, such as "round-2".
        agreement: Mean of ``annotation_agreement``, 0..1, of the round's network; NaN if unknown.
        gain: Change of ``agreement`` since the round before; None if there is nothing to compare.
        churn: Mean of 1 - IoU with the labels of the stage before.
        vanished: Share, 0..1, of the classes that had labels in an image and have none now.
        lost: Classes that have less than ``MIN_AREA`` of their first area.
    """

    stage: str
    agreement: float
    gain: Interval | None
    churn: float
    vanished: float
    lost: tuple[str, ...]

    @property
    def falls(self) -> bool:
        """True if the network agrees less with the annotations than that of the round before."""
        return self.gain is not None and self.gain.high < 0 and self.gain.value <= -MIN_GAIN

    @property
    def has_lost_classes(self) -> bool:
        """True if classes are disappearing from the labels."""
        return bool(self.lost) or self.vanished >= MAX_VANISHED

    @property
    def worse(self) -> bool:
        """True if the labels are getting worse."""
        return self.falls or self.has_lost_classes

    @property
    def enough(self) -> bool:
        """True if another round is not worth it."""
        rises = self.gain is None or (self.gain.low > 0 and self.gain.value >= MIN_GAIN)
        return self.worse or not rises

    @property
    def word(self) -> str:
        """The verdict in a few words."""
        return "labels get worse" if self.worse else "enough" if self.enough else "go on"

    @property
    def reason(self) -> str:
        """The reason of the verdict, as a sentence without a full stop."""
        if self.lost:
            return f"almost nothing is left of {', '.join(self.lost)}"
        if self.vanished >= MAX_VANISHED:
            return f"{100 * self.vanished:.1f} % of the classes in images have vanished"
        if self.gain is None:
            return "there is no earlier round, or too few images, to compare it with"
        if self.falls:
            return "the network agrees less with the annotations than that of the round before"
        if self.enough:
            return "the network agrees no better with the annotations than that of the round before"
        return "the network agrees better with the annotations than that of the round before"


def judge_rounds(
    signals: Mapping[str, pd.DataFrame], agreement: Mapping[str, pd.Series], classes: Classes
) -> list[Verdict]:
    """Return a verdict on each round.

    A round was worth it if its network agrees better with the annotations than the one before, on
    the same classes in the same images. A rise below ``MIN_GAIN``, or within chance (bootstrap over
    images), does not count. The network's confidence is not used: it rises on wrong labels too.

    Args:
        signals: Tables of signals by stage, the seeds first; by index of image and class.
        agreement: Agreement of each round's network with the annotations, by image and class.
    """
    stages = [*signals]
    first = signals[stages[0]] if stages else pd.DataFrame()
    return [
        Verdict(
            name,
            agreement=float(agreement[name].mean()),
            gain=_gain(agreement[before], agreement[name]) if before in agreement else None,
            churn=float(signals[name]["churn"].mean()),
            vanished=_vanished(first, signals[name]),
            lost=_lost(first, signals[name], classes),
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
    images = change.index.get_level_values("id").factorize()[0]
    if images.max() + 1 < MIN_IMAGES:
        return None
    return mean_interval(change.to_numpy(float), images, LEVEL)


def _vanished(first: pd.DataFrame, now: pd.DataFrame) -> float:
    shown = _shared(first, now).query("area > 0").index
    area = now["area"].reindex(shown).fillna(0)
    return float((area == 0).mean()) if len(shown) else 0.0


def _lost(first: pd.DataFrame, now: pd.DataFrame, classes: Classes) -> tuple[str, ...]:
    before, after = (table["area"].groupby("class").sum() for table in (_shared(first, now), now))
    left = after.reindex(before.index).fillna(0) / before.where(before > 0, np.nan)
    return tuple(classes.names[int(label)] for label in left.index[left < MIN_AREA])


def _shared(first: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The rows of images that were not skipped since."""
    return first[first.index.isin(now.index.get_level_values("id"), level="id")]
