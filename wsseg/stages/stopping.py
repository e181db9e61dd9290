"""The verdict on each round of a run, and the end of the rounds with ``rounds.count: auto``."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from wsseg.data.model import Classes
from wsseg.metrics.stopping import Verdict, best_round, judge_rounds
from wsseg.runs.names import ENDING, SEEDS, is_round
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage, finished_stage
from wsseg.runs.stats import read_stats
from wsseg.stages.signals import read_signals


def verdicts(run: Path, stages: Sequence[str], classes: Classes) -> list[Verdict]:
    """Return a verdict on each round, see ``judge_rounds``.

    Agreement with annotations is that of the validation images, from whose annotations the network
    has not learned; without a validation split it is that of the training images.

    Args:
        stages: Finished stages of label maps, the seeds first. Those that are no rounds are not
            judged.

    Returns:
        One verdict a round, up to the first stage without signals.
    """
    judged = [name for name in stages if name == SEEDS or is_round(name)]
    signals = dict(_read_tables(run, judged))
    rounds = [*signals][1:]
    agreement, images = {name: _agreement(run, f"{name}/val") for name in rounds}, "validation"
    if any(values.empty for values in agreement.values()):
        agreement, images = {name: _agreement(run, name) for name in rounds}, "training"
    corrections = {name: _stats(run, name) for name in rounds}
    return judge_rounds(signals, agreement, corrections, classes, images)


def end_rounds(run: Run, history: Sequence[Stage], classes: Classes) -> bool:
    """Warn of a bad round, and decide with ``rounds.count: auto`` whether rounds should end.

    A warning follows a network that has learned little, and labels that get worse. If rounds end,
    the stage "ending" records how many rounds there are and which one is the best.

    Args:
        history: Complete stages of label maps, the seeds first.

    Returns:
        True if no round should follow.
    """
    known = verdicts(run.path, [stage.name for stage in history], classes)
    if not known:
        return False
    last, ending = known[-1], run.stage(ENDING, labels=history[-1])
    if last.worse or last.learned_little:
        log(f"{last.stage}: WARNING: {last.word}: {last.reason}")
    if run.config.rounds.count != "auto":
        return False
    if not last.enough and len(known) < len(run.config.rounds.numbers):
        shutil.rmtree(ending.path, ignore_errors=True)
        return False
    best = best_round(known)
    log(f"{last.stage}: rounds end: {last.reason}; {best} is the result")
    ending.run(lambda: {"rounds": len(known), "best": best})
    return True


def _read_tables(run: Path, stages: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    for name in stages:
        if (table := read_signals(run / name)) is None:
            return
        yield name, table.set_index(["id", "class"])


def _agreement(run: Path, name: str) -> pd.Series:
    """Agreement by image and class; empty if the stage has none."""
    table = _stats(run, name)
    return table["agreement"].dropna() if "agreement" in table else pd.Series(dtype=float)


def _stats(run: Path, name: str) -> pd.DataFrame:
    """The statistics of a stage by image and class; empty if it is not finished or has none."""
    if not finished_stage(run, name) or not (run / name / "stats.parquet").exists():
        return pd.DataFrame()
    table: pd.DataFrame = read_stats(run / name).to_pandas().set_index(["id", "class"])
    return table
