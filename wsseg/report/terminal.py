"""The report of a run as text, for a terminal far away."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wsseg.metrics.bootstrap import Interval
from wsseg.report.page import NOTHING, duration, percent
from wsseg.report.report import read_summary
from wsseg.stages.signals import read_signals

_WORST = 15  # images


def text_report(run: Path) -> RenderableType:
    """Return the table of rounds, what signals say of them, and the worst images.

    Args:
        run: The folder of a run with a report.

    Returns:
        What rich prints, for 80 columns.

    Raises:
        InputError: The run has no report yet, or a damaged one.
    """
    summary = read_summary(run)
    stages = summary["stages"]
    names = [stage["name"] for stage in stages]
    return Group(
        _stages(stages),
        *_verdicts(summary.get("verdicts", [])),
        *_worst(run, [summary.get("result", names[-1]), *names[::-1]], summary["classes"]),
    )


def _table(title: str, names: Sequence[str], figures: Sequence[str], last: str = "") -> Table:
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right")
    if last:
        table.add_column(last, overflow="fold")
    return table


def _stages(stages: Sequence[Mapping[str, Any]]) -> Table:
    figures = ("labels", "change", "cover", "val", "change", "time")
    table = _table("mIoU of labels and validation in %, changes in points", ["stage"], figures)
    for stage in stages:
        table.add_row(
            Text(stage["name"]),
            percent(stage.get("label_miou")),
            _change(stage.get("label_change")),
            percent(stage.get("coverage")),
            percent(stage.get("val_miou")),
            _change(stage.get("val_change")),
            duration(stage["seconds"]),
        )
    return table


def _change(difference: Sequence[float] | None) -> str:
    if difference is None:
        return NOTHING
    interval = Interval(*difference)
    return f"{round(100 * interval.value, 1) + 0:+.1f}{' noise' if interval.is_noise else ''}"


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    if not verdicts:
        return
    figures = ("agreement", "change", "changed", "vanished")
    table = _table("is another round worth it? in %", ["after"], figures, "verdict")
    for each in verdicts:
        table.add_row(
            Text(each["stage"]),
            percent(each["agreement"]),
            _change(each["gain"]),
            percent(each["churn"]),
            percent(each["vanished"]),
            Text(each["word"], style="bold red" if each["worse"] else ""),
        )
    yield table
    yield Text(f"{verdicts[-1]['stage']}: {verdicts[-1]['reason']}")


def _worst(run: Path, stages: Sequence[str], classes: Sequence[str]) -> Iterator[Table]:
    """The images with the lowest estimates at the first of stages that was inspected."""
    for stage in stages:
        if (signals := read_signals(run / stage)) is not None:
            names = ["image", "worst class"]
            table = _table(f"the worst images of {stage}, by signals", names, ["estimate"])
            for image, name, estimate in _images(signals, classes):
                table.add_row(Text(image), Text(name), f"{estimate:.2f}")
            yield table
            return


def _images(signals: pd.DataFrame, classes: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    means = signals.groupby("id")["estimate"].mean().nsmallest(_WORST)
    worst = signals.sort_values("estimate", kind="stable").drop_duplicates("id")
    labels = dict(zip(worst["id"], worst["class"], strict=True))
    for image, estimate in means.items():
        yield str(image), classes[labels[image]], float(estimate)
