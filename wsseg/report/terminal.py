"""The report of a run as text, for a terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wsseg.report.page import change, duration, percent
from wsseg.report.summary import RoundStats, StageStats, read_summary
from wsseg.stages.signals import read_signals

_WORST = 15  # images


def text_report(run: Path) -> RenderableType:
    """Return the table of rounds, the verdicts on them, and the worst images, for 80 columns.

    Raises:
        InputError: The run has no report yet, or a damaged one.
    """
    summary = read_summary(run)
    names = [stage.name for stage in summary.stages]
    preferred = [summary.result or names[-1], *names[::-1]]
    return Group(
        _stages(summary.stages),
        *_refused(summary.stages),
        *_rounds(summary.verdicts),
        *_worst(run, preferred, summary.classes),
    )


def _table(title: str, name: str, figures: Sequence[str], *more: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(name, overflow="fold")
    for figure in figures:
        table.add_column(figure, justify="right")
    for column in more:
        table.add_column(column, overflow="fold")
    return table


def _stages(stages: Sequence[StageStats]) -> Table:
    figures = ("labels", "change", "cover", "val", "change", "time")
    table = _table("mIoU of labels and validation in %, changes in points", "stage", figures)
    for stage in stages:
        table.add_row(
            Text(stage.name),
            percent(stage.label_miou),
            change(stage.label_change, is_short=True),
            percent(stage.coverage),
            percent(stage.val_miou),
            change(stage.val_change, is_short=True),
            duration(stage.seconds),
        )
    return table


def _rounds(verdicts: Sequence[RoundStats]) -> Iterator[RenderableType]:
    if not verdicts:
        return
    figures = ("agreement", "change", "changed", "reset", "vanished")
    table = _table("is another round worth it? in %", "after", figures, "verdict")
    for verdict in verdicts:
        table.add_row(
            Text(verdict.stage),
            percent(verdict.agreement),
            change(verdict.gain, is_short=True),
            percent(verdict.churn),
            percent(verdict.resets),
            percent(verdict.vanished),
            Text(verdict.word, "bold red" if verdict.worse or verdict.learned_little else ""),
        )
    yield table
    yield Text(f"{verdicts[-1].stage}: {verdicts[-1].reason}")


def _refused(stages: Sequence[StageStats]) -> Iterator[Text]:
    """Yield how many masks of SAM were refused, for stages that asked for some."""
    for stage in stages:
        if stage.objects:
            share = percent((stage.fallbacks or 0) / stage.objects)
            yield Text(
                f"{stage.name}: masks of SAM refused for {share} % of {stage.objects} objects"
            )


def _worst(run: Path, stages: Sequence[str], classes: Sequence[str]) -> Iterator[Table]:
    """Yield the images with the lowest estimates, at the first of stages that has signals."""
    for stage in stages:
        if (signals := read_signals(run / stage)) is not None:
            title = f"the worst images of {stage}, by signals"
            table = _table(title, "image", ["estimate"], "worst class")
            worst = signals.sort_values("estimate", kind="stable").drop_duplicates("id")
            labels = dict(zip(worst["id"], worst["class"], strict=True))
            means = signals.groupby("id")["estimate"].mean().nsmallest(_WORST)
            for image, estimate in means.items():
                name = classes[labels[image]]
                table.add_row(Text(str(image)), f"{float(estimate):.2f}", Text(name))
            yield table
            return
