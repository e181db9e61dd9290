"""Two runs on the same images: what differs by more than chance, and in which images."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from wsseg.errors import InputError
from wsseg.metrics.counts import LabelCounts
from wsseg.report.comparison import check_same_classes
from wsseg.report.comparison_page import run_curves
from wsseg.report.images_page import write_images_page
from wsseg.report.page import NOTHING, flatten, write_page
from wsseg.report.run_report import Report, report_run
from wsseg.runs.folder import folder_lock
from wsseg.runs.run import Run

_SHOWN = 12  # images that gained most, and that lost most


class Side(NamedTuple):
    """One of the two runs.

    Attributes:
        name: Enough of its path to distinguish the two.
        labels: The stage of label maps that is its result; None if it made none.
        counts: Stage and counts of "labels" and "val", if they were measured.
    """

    name: str
    report: Report
    labels: str | None
    counts: dict[str, tuple[str, LabelCounts]]


Pairs = dict[str, tuple[str, LabelCounts, LabelCounts]]
"""Stage of the first run, and counts of the second and of the first run, by "val" and "labels"."""


def report_difference(first: Path, second: Path, masks: Path | None = None) -> Path:
    """Write the reports of two runs, and how the first differs from the second.

    Args:
        first: The run that is reported on.
        second: The other one, on the same classes.
        masks: Declared masks of the first run, see ``report_run``.

    Returns:
        The page ``report/against-<other>/index.html``; ``images.html`` beside it shows the labels
        of both in each image.

    Raises:
        InputError: A folder holds no run, or the runs have different classes.
    """
    if first.resolve() == second.resolve():
        raise InputError(f"--compare {second}", "another run", "the same", "name another folder")
    report = report_run(first, masks, log=False)
    is_same = Run(second).config.data == report.config.data
    dataset, truth = (report.dataset, report.truth) if is_same else (None, None)
    reports = (report, report_run(second, dataset=dataset, truth=truth, log=False))
    check_same_classes({str(first): report.summary, str(second): reports[1].summary})
    own, other = map(_side, reports, _names(first.resolve(), second.resolve()))
    folder = first / "report" / f"against-{other.name.replace('/', '-')}"
    pairs: Pairs = {
        kind: (own.counts[kind][0], other.counts[kind][1], own.counts[kind][1])
        for kind in ("val", "labels")
        if kind in own.counts and kind in other.counts
    }
    gains = _gains(pairs)
    has_labels = bool(own.labels and other.labels)
    summaries = {side.name: side.report.summary for side in (own, other)}
    content = {
        "name": own.name,
        "other": other.name,
        "has_labels": has_labels,
        "pairs": pairs,
        "has_ignore": _has_ignore(pairs),
        "curves": run_curves(summaries, {name: index for index, name in enumerate(summaries)}),
        "lost": _extremes(gains, 1),
        "gained": _extremes(gains, -1),
        "settings": _settings(own, other),
    }
    with folder_lock(folder, f"report of {first}"):
        if has_labels:
            _write_images(folder, own, other, gains)
        write_page(folder / "index.html", "difference.html.j2", content)
    return folder / "index.html"


def _names(first: Path, second: Path) -> tuple[str, str]:
    depth = 1
    while first.parts[-depth:] == second.parts[-depth:]:
        depth += 1
    return "/".join(first.parts[-depth:]), "/".join(second.parts[-depth:])


def _side(report: Report, name: str) -> Side:
    labels = next((stage for stage in report.result if stage in report.stages), None)
    counts: dict[str, tuple[str, LabelCounts]] = {}
    measured = [labels] if labels else []
    for kind, stages in (("labels", measured), ("val", [f"{s}/val" for s in report.result])):
        for stage in stages:
            if stage in report.counts:
                counts.setdefault(kind, (stage, report.counts[stage]))
    return Side(name, report, labels, counts)


def _has_ignore(pairs: Pairs) -> bool:
    """Return whether measured labels of either run have pixels that are IGNORE."""
    return "labels" in pairs and any(c.quality.coverage < 1 for c in pairs["labels"][1:])


def _gains(pairs: Pairs) -> dict[str, float]:
    """Return the gain of IoU of each image whose labels were measured in both runs."""
    if "labels" not in pairs:
        return {}
    old, new = (counts.image_mious for counts in pairs["labels"][1:])
    return {image: new[image] - old[image] for image in new if image in old}


def _extremes(gains: Mapping[str, float], sign: int) -> list[tuple[str, str]]:
    ranked = sorted(gains, key=lambda image: (sign * gains[image], image))[:_SHOWN]
    return [(image, f"{100 * gains[image]:+.1f}") for image in ranked if sign * gains[image] < 0]


def _write_images(folder: Path, own: Side, other: Side, gains: Mapping[str, float]) -> None:
    sides = {f"{side.name}: {side.labels}": side for side in (other, own)}
    report = own.report
    write_images_page(
        folder,
        name=f"{own.name} against {other.name}",
        stages={name: side.report.run / str(side.labels) for name, side in sides.items()},
        classes=report.summary.classes,
        samples=report.samples,
        truth=report.truth,
        counts={name: side.counts["labels"][1] for name, side in sides.items() if gains},
        gains={[*sides][-1]: gains} if gains else None,
        workers=report.config.machine.workers,
    )


def _settings(own: Side, other: Side) -> list[tuple[str, str, str]]:
    mine, theirs = (dict(flatten(side.report.summary.config)) for side in (own, other))
    keys = [*dict.fromkeys([*mine, *theirs])]
    pairs = [(key, theirs.get(key, NOTHING), mine.get(key, NOTHING)) for key in keys]
    return [pair for pair in pairs if pair[1] != pair[2] and pair[0] != "run_dir"]
