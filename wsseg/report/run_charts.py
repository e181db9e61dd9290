"""The charts of a run's report."""

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from wsseg.metrics.calibration import ReliabilityBin
from wsseg.report.charts import SERIES, Chart, category_axis, linear_axis
from wsseg.report.summary import RoundStats, StageStats

_CURVES = {
    "label_miou": "label mIoU, IGNORE counted as wrong",
    "label_miou_covered": "label mIoU on covered pixels",
    "val_miou": "validation mIoU",
    "coverage": "coverage",
}
_SIGNALS = ("agreement", "kept", "confidence", "churn", "fill", "touched", "resets", "ignored")


def truth_curves(stages: Sequence[StageStats], width: int = 560) -> Markup | None:
    """Return a line for each figure of label maps and validation that any stage has."""
    rows = {title: [getattr(stage, key) for stage in stages] for key, title in _CURVES.items()}
    return share_curves("curves", [stage.name for stage in stages], rows, width)


def signal_curves(
    stages: Sequence[StageStats], verdicts: Sequence[RoundStats] = (), width: int = 560
) -> Markup | None:
    """Return a line for each important signal, over the inspected stages.

    Args:
        verdicts: Verdicts on the rounds. The line of the agreement shows theirs, which may be that
            of other images than the labels', so that a page has one agreement for each round.
    """
    inspected = [stage for stage in stages if stage.signals]
    rows = {key: [stage.signals.get(key) for stage in inspected] for key in _SIGNALS}
    if verdicts:
        known = {verdict.stage: verdict.agreement for verdict in verdicts}
        del rows["agreement"]
        title = f"agreement, {verdicts[0].images} images"
        rows = {title: [known.get(stage.name) for stage in inspected], **rows}
    rows = {key: shares if any(shares) else [None] for key, shares in rows.items()}
    return share_curves("signals", [stage.name for stage in inspected], rows, width)


def share_curves(
    name: str,
    stages: Sequence[str],
    rows: Mapping[str, Sequence[float | None]],
    width: int = 560,
    colours: Mapping[str, int] | None = None,
) -> Markup | None:
    """Return lines of shares over stages, in percent.

    Args:
        name: Id of the chart.
        stages: Names of the places from left to right.
        rows: Shares, 0..1, of each line; None leaves a gap. Lines without a share are left out.
        width: Pixels at full size.
        colours: Number of each line's colour; otherwise its place among the rows.
    """
    shown = {title for title, shares in rows.items() if any(s is not None for s in shares)}
    if not shown:
        return None
    percent = [100 * share for title in shown for share in rows[title] if share is not None]
    chart = Chart(name, category_axis(stages), linear_axis(percent, "%"), width=width)
    for number, (title, shares) in enumerate(rows.items()):
        if title in shown:
            points = [(x, None if s is None else 100 * s) for x, s in enumerate(shares)]
            texts = ["" if y is None else f"{title}, {stages[x]}: {y:.1f} %" for x, y in points]
            chart.line(points, title, colours[title] if colours else number, texts=texts)
    return chart.html()


def stage_bars(stages: Sequence[StageStats], key: str, unit: str) -> Markup:
    """Return a bar for each stage that has the figure ``key``."""
    values = {s.name: getattr(s, key) for s in stages if getattr(s, key) is not None}
    axis = linear_axis([1.1 * value for value in values.values()], unit)
    chart = Chart(f"{key}-of-stages", category_axis([*values]), axis, height=170)
    for x, (name, value) in enumerate(values.items()):
        chart.bar((x - 0.25, 0), (x + 0.25, value), f"{name}: {value:g} {unit}")
        chart.text((x, value), f"{value:.3g}", dy=-5)
    return chart.html()


def confusion_map(name: str, confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """Return which classes are labelled as which, in percent of the true class.

    Args:
        name: Id of the chart.
        confusion: (K, K + 1) of ``confusion_matrix``.
        classes: K names.

    Returns:
        A heat map; cells are numbered if there are few enough to read, and empty below 0.05 %.
    """
    side = max(13, min(30, 900 // len(classes)))
    columns = category_axis([*classes, "no label"], "labelled as")
    chart = Chart(
        name,
        columns,
        category_axis(classes, "true class"),
        width=min(1160, 150 + 46 * (len(classes) + 1)),
        height=side * len(classes),
        grid="",
        is_downward=True,
    )
    for y, row in enumerate(confusion):
        for x, count in enumerate(row):
            share = count / sum(row) if count else 0
            if share >= 0.0005:
                text = f"{classes[y]} labelled as {columns.ticks[x][1]}: {100 * share:.2f} %"
                opacity = 0.08 + 0.72 * share
                chart.bar((x - 0.48, y - 0.47), (x + 0.48, y + 0.47), text, opacity=opacity)
                if share >= 0.005 and len(classes) <= 24:
                    chart.text((x, y), f"{100 * share:.0f}")
    return chart.html("confusion matrix")


def threshold_curves(
    curves: Mapping[str, Mapping[float, float]], chosen: Iterable[float]
) -> Markup:
    """Return the mIoU of activation maps by score of the background.

    Args:
        curves: mIoU, 0..1, by score, for each stage of maps.
        chosen: Scores that the run used, which are marked.
    """
    percent = [100 * miou for curve in curves.values() for miou in curve.values()]
    axis = linear_axis(percent, "mIoU, %")
    chart = Chart("thresholds", linear_axis([0, 1], "score of the background"), axis)
    for number, (name, curve) in enumerate(curves.items()):
        points = [(score, 100 * miou) for score, miou in curve.items()]
        texts = [f"{name} at {x:g}: {y:.1f} %" for x, y in points]
        chart.line(points, name, number, texts=texts)
    for score in dict.fromkeys(chosen):
        chart.rule((score, axis.low), (score, axis.high), SERIES[3], dashes="2 3")
        chart.text((score, axis.high), f"{score:g}", dy=-2)
    return chart.html()


def coverage_lines(name: str, kept: Sequence[tuple[float, float, float]]) -> Markup:
    """Return coverage and accuracy of predictions by threshold of confidence.

    Args:
        name: Id of the chart.
        kept: Of ``Calibration.coverage_curve``.
    """
    x, y = linear_axis([0, 100], "threshold of confidence, %"), linear_axis([0, 100], "%")
    chart = Chart(name, x, y, height=200)
    for number, title in enumerate(("pixels above the threshold", "accuracy of these")):
        points = [(100 * row[0], 100 * row[number + 1]) for row in kept]
        texts = [f"{title} {at:.0f} %: {value:.1f} %" for at, value in points]
        chart.line(points, title, number, has_markers=False, texts=texts)
    return chart.html()


def reliability_bars(name: str, bars: Sequence[ReliabilityBin]) -> Markup:
    """Return the accuracy of labels by the confidence of the network.

    Args:
        name: Id of the chart.
        bars: Of ``Calibration.reliability``.

    Returns:
        One bar for each range of confidence, and the diagonal of a calibrated network.

    References:
        Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599.
    """
    x, y = linear_axis([0, 100], "confidence, %"), linear_axis([0, 100], "accuracy, %")
    chart = Chart(name, x, y, height=220)
    for bar in bars:
        at, right, share = (100 * part for part in (bar.confidence, bar.accuracy, bar.share))
        text = f"confidence {at:.1f} %: {right:.1f} % right, {share:.1f} % of the pixels"
        chart.bar((max(0, at - 4), 0), (min(100, at + 4), right), text)
        chart.text((at, right), f"{share:.1f}", dy=-4)
    chart.line([(0, 0), (100, 100)], "calibrated", 1, has_markers=False)
    return chart.html()
