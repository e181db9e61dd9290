"""When rounds stop being worth it, and when they do harm: told by signals, without any truth."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from wsseg.data.model import Classes
from wsseg.metrics.intervals import Interval, mean_interval
from wsseg.runs.progress import say
from wsseg.runs.stage import Run, Stage, finished_stage
from wsseg.runs.stats import read_stats
from wsseg.stages.inspecting import read_signals

LEAST_GAIN = 0.005
"""Agreement that a round has to win for another one to be worth it."""

LEVEL = 0.9
"""Of the interval that says whether it has, or has lost it: 5 % on either side."""

MOST_VANISHED = 0.05
"""Share of the classes that annotations name in images and labels no longer show: too much."""

LEAST_IMAGES = 8
"""Images in which rounds are compared; fewer say nothing."""

LEAST_AREA = 0.1
"""Share of its first area below which a class counts as lost."""


@dataclass(frozen=True)
class Verdict:
    """What signals say of a round.

    Attributes:
        stage: The round, such as "round-2".
        agreement: Mean of ``annotation_agreement``, 0..1, of the round's network; NaN where it is
            not known.
        gain: By how much it rose since the round before; None where there is nothing to compare.
        churn: Mean of 1 - IoU with the labels before.
        vanished: Share, 0..1, of the classes that had labels in an image and have none now.
        lost: Classes that have less than ``LEAST_AREA`` of their first area.
    """

    stage: str
    agreement: float
    gain: Interval | None
    churn: float
    vanished: float
    lost: tuple[str, ...]

    @property
    def falls(self) -> bool:
        """Whether the network agrees less with the annotations than the one before."""
        return self.gain is not None and self.gain.high < 0 and self.gain.value <= -LEAST_GAIN

    @property
    def faded(self) -> bool:
        """Whether classes are gone from labels."""
        return bool(self.lost) or self.vanished >= MOST_VANISHED

    @property
    def worse(self) -> bool:
        """Whether labels are getting worse."""
        return self.falls or self.faded

    @property
    def enough(self) -> bool:
        """Whether another round is not worth it."""
        rises = self.gain is None or (self.gain.low > 0 and self.gain.value >= LEAST_GAIN)
        return self.worse or not rises

    @property
    def word(self) -> str:
        """What to do, or what is wrong."""
        return "labels get worse" if self.worse else "enough" if self.enough else "go on"

    @property
    def reason(self) -> str:
        """In words."""
        if self.lost:
            return f"almost nothing is left of {', '.join(self.lost)}"
        if self.vanished >= MOST_VANISHED:
            return f"{100 * self.vanished:.1f} % of the classes in images have vanished"
        if self.gain is None:
            return "there is no earlier round, or too few images, to compare it with"
        if self.falls:
            return "the network agrees less with the annotations than that of the round before"
        if self.enough:
            return "the network agrees no better with the annotations than that of the round before"
        return "the network comes to agree better with the annotations"


def verdicts(run: Path, stages: Sequence[str], classes: Classes) -> list[Verdict]:
    """Return what signals say of each round.

    A round was worth it where its network agrees better with the annotations than the one before:
    on the validation images, from whose annotations it has not learned; without a validation split
    on the training images. The classes of the same images are compared; what rises by less than
    ``LEAST_GAIN``, or no more than by chance (bootstrap), has not risen. How sure the network is
    says nothing here, as it grows surer of wrong labels too.

    Args:
        run: The run's folder.
        stages: Finished and inspected stages of label maps, the seeds first.
        classes: Of the data set.

    Returns:
        One verdict a round, up to the first stage that was not inspected.
    """
    signals = dict(_inspected(run, stages))
    stages = [*signals]
    held_out = {name: _agreement(run, f"{name}/val") for name in stages[1:]}
    if any(found.empty for found in held_out.values()):
        held_out = {name: _agreement(run, name) for name in stages[1:]}
    first, found = signals[stages[0]] if stages else pd.DataFrame(), []
    for before, name in pairwise(stages):
        now = held_out[name]
        found.append(
            Verdict(
                name,
                agreement=float(now.mean()),
                gain=_gain(held_out[before], now) if before in held_out else None,
                churn=float(signals[name]["churn"].mean()),
                vanished=_vanished(first, signals[name]),
                lost=_lost(first, signals[name], classes),
            )
        )
    return found


def end_rounds(run: Run, history: Sequence[Stage], classes: Classes) -> bool:
    """Say whether labels get worse, and with ``rounds.count: auto`` whether rounds should end.

    Where they do, the stage "ending" records how many there are, and which is the best: the one
    whose network agrees best with the annotations.

    Args:
        run: The run.
        history: Complete stages of label maps, the seeds first.
        classes: Of the data set.

    Returns:
        True where no round should follow.
    """
    found = verdicts(run.path, [stage.name for stage in history], classes)
    if not found:
        return False
    last, ending = found[-1], run.stage("ending", labels=history[-1])
    if last.worse:
        say(f"{last.stage}: WARNING: labels get worse: {last.reason}")
    if run.config.rounds.count != "auto":
        return False
    if not last.enough and len(found) < run.config.rounds.most:
        shutil.rmtree(ending.path, ignore_errors=True)
        return False
    best = max(found, key=_merit).stage
    say(f"{last.stage}: rounds end: {last.reason}; {best} is the result")
    with ending.work() as record:
        record |= {"rounds": len(found), "best": best}
    return True


def _merit(verdict: Verdict) -> tuple[bool, float]:
    known = not np.isnan(verdict.agreement)
    return not verdict.faded, verdict.agreement if known else -np.inf


def _inspected(run: Path, stages: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    for name in stages:
        if (table := read_signals(run / name)) is None:
            return
        yield name, table.set_index(["id", "class"])


def _agreement(run: Path, name: str) -> pd.Series:
    """By image and class; empty where the stage does not say."""
    if not finished_stage(run, name):
        return pd.Series(dtype=float)
    table = read_stats(run / name).to_pandas().set_index(["id", "class"])
    return table["agreement"].dropna() if "agreement" in table else pd.Series(dtype=float)


def _gain(before: pd.Series, now: pd.Series) -> Interval | None:
    change = (now - before).dropna()
    if change.empty:
        return None
    images = change.index.get_level_values("id").factorize()[0]
    if images.max() + 1 < LEAST_IMAGES:
        return None
    return mean_interval(change.to_numpy(float), images, LEVEL)


def _vanished(first: pd.DataFrame, now: pd.DataFrame) -> float:
    there = _shared(first, now).query("area > 0").index
    area = now["area"].reindex(there).fillna(0)
    return float((area == 0).mean()) if len(there) else 0.0


def _lost(first: pd.DataFrame, now: pd.DataFrame, classes: Classes) -> tuple[str, ...]:
    tables = (_shared(first, now), now)
    before, after = (table["area"].groupby("class").sum() for table in tables)
    left = after.reindex(before.index).fillna(0) / before.where(before > 0, np.nan)
    return tuple(classes.names[int(label)] for label in left.index[left < LEAST_AREA])


def _shared(first: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The images that were not set aside since."""
    return first[first.index.isin(now.index.get_level_values("id"), level="id")]
