"""Two runs on the same images: what differs by more than chance, and in which images."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsseg.data.model import Dataset
from wsseg.data.truth import LabelledData, Truth, load
from wsseg.errors import InputError
from wsseg.metrics.counts import LabelCounts
from wsseg.report.charts import chart
from wsseg.report.class_section import title
from wsseg.report.comparison_charts import run_curves
from wsseg.report.explorer import pairs_of, write_explorer
from wsseg.report.page import percent, write_page
from wsseg.report.report import flat, read_summary
from wsseg.report.run_report import report_run
from wsseg.report.stage_section import change
from wsseg.runs.config import Config, load_config
from wsseg.runs.folder import locked
from wsseg.runs.history import preferred_stages
from wsseg.runs.stage import finished_stage
from wsseg.stages.measure import read_counts

_SHOWN = 12  # images that gained most, and that lost most


class Side(NamedTuple):
    """One of the two runs.

    Attributes:
        path: Its folder.
        name: Enough of its path to tell the two apart.
        config: Its settings.
        dataset: Its images and weak annotations.
        truth: Full masks of the same images.
        summary: Of its report.
        labels: The label maps that are its result, None where it made none.
        measured: What is measured of "labels" and "val", those that there are.
    """

    path: Path
    name: str
    config: Config
    dataset: Dataset
    truth: Truth
    summary: dict[str, Any]
    labels: str | None
    measured: dict[str, tuple[str, LabelCounts]]


def report_runs(first: Path, second: Path, masks: Path | None = None) -> Path:
    """Write the reports of two runs, and how the first differs from the second.

    Args:
        first: The run that is reported on.
        second: Another run on the same classes.
        masks: As of ``report_run``, for the first run.

    Returns:
        The page of ``report_difference``.

    Raises:
        InputError: As ``report_run`` and ``report_difference``.
    """
    configs = [load_config(run / "config.yaml").data for run in (first, second)]
    data = load(configs[0])
    other = data if configs[0] == configs[1] else load(configs[1])
    report_run(first, masks, data=data, log=False)
    report_run(second, data=other, log=False)
    return report_difference(first, second, (data, other))


def report_difference(
    first: Path, second: Path, data: Sequence[LabelledData | None] = (None, None)
) -> Path:
    """Write how a run differs from another one: ``report/against-<other>/index.html``.

    Args:
        first: The run that is reported on.
        second: The other one, with a report and on the same classes.
        data: The data sets of both, if they have been read already.

    Returns:
        The page; ``images.html`` beside it shows the labels of both in each image.

    Raises:
        InputError: A folder holds no run with a report, or classes differ.
    """
    if first.resolve() == second.resolve():
        raise InputError(f"--compare {second}", "another run", "the same", "name another folder")
    own, other = map(_side, (first, second), _names(first.resolve(), second.resolve()), data)
    if own.dataset.classes != other.dataset.classes:
        rule, remedy = f"on the same classes as {first}", "compare runs of one data set"
        raise InputError(f"--compare {second}", rule, ", ".join(other.dataset.classes), remedy)
    folder = first / "report" / f"against-{other.name.replace('/', '-')}"
    gains, labelled = _gains(other, own), own.labels and other.labels
    content = {
        "name": own.name,
        "other": other.name,
        "labelled": labelled,
        "figures": [*_figures(other, own)],
        "classes": _classes(other, own),
        "curves": _curves(own, other),
        "lost": _extremes(gains, 1),
        "gained": _extremes(gains, -1),
        "settings": _settings(own, other),
    }
    with locked(folder, f"report of {first}", "wait for it"):
        if labelled:
            _write_images(folder, own, other, gains)
        write_page(folder / "index.html", "difference.html.j2", content)
    return folder / "index.html"


def _names(first: Path, second: Path) -> tuple[str, str]:
    depth = 1
    while first.parts[-depth:] == second.parts[-depth:]:
        depth += 1
    return "/".join(first.parts[-depth:]), "/".join(second.parts[-depth:])


def _side(run: Path, name: str, loaded: LabelledData | None) -> Side:
    config, summary = load_config(run / "config.yaml"), read_summary(run)
    loaded = loaded or load(config.data)
    dataset = loaded.dataset
    stages = preferred_stages(run, config)
    labels = [name for name in stages if finished_stage(run, name)][:1]
    found = {}
    for kind, names in (("labels", labels), ("val", [f"{name}/val" for name in stages])):
        known = ((name, read_counts(run, name, dataset.classes)) for name in names)
        if first := next(((name, each) for name, each in known if each), None):
            found[kind] = first
    result = labels[0] if labels else None
    return Side(run, name, config, dataset, loaded.truth, summary, result, found)


def _figures(before: Side, after: Side) -> Iterator[dict[str, str]]:
    for kind in ("labels", "val"):
        if kind not in before.measured or kind not in after.measured:
            continue
        (_, old), (name, new) = before.measured[kind], after.measured[kind]
        same = old.ids == new.ids
        yield {
            "title": title(name),
            "before": percent(old.quality.miou),
            "after": percent(new.quality.miou),
            "change": change(new.quality.gain_over(old.quality)) if same else "other images",
        }


def _classes(before: Side, after: Side) -> dict[str, Any]:
    """Of the validation images, else of the labels."""
    for kind in ("val", "labels"):
        if kind in before.measured and kind in after.measured:
            (_, old), (name, new) = before.measured[kind], after.measured[kind]
            if old.ids == new.ids:
                return {"title": title(name), "rows": [*_class_rows(old, new)]}
    return {"title": "", "rows": []}


def _class_rows(old: LabelCounts, new: LabelCounts) -> Iterator[dict[str, Any]]:
    before, after = old.quality.per_class, new.quality.per_class
    for name, difference in new.quality.class_gains_over(old.quality).items():
        said = change(difference)
        yield {"name": name, "before": before[name], "after": after[name], "change": said}


def _gains(before: Side, after: Side) -> dict[str, float]:
    """By how much the labels of each image are better, where both were measured."""
    if "labels" not in before.measured or "labels" not in after.measured:
        return {}
    old, new = before.measured["labels"][1].image_mious, after.measured["labels"][1].image_mious
    return {image: new[image] - old[image] for image in new if image in old}


def _extremes(gains: Mapping[str, float], sign: int) -> list[tuple[str, str]]:
    ranked = sorted(gains, key=lambda image: (sign * gains[image], image))[:_SHOWN]
    return [(image, f"{100 * gains[image]:+.1f}") for image in ranked if sign * gains[image] < 0]


def _write_images(folder: Path, own: Side, other: Side, gains: Mapping[str, float]) -> None:
    sides = {f"{side.name}: {side.labels}": side for side in (other, own)}
    stages = {name: side.path / str(side.labels) for name, side in sides.items()}
    known = {name: side.measured["labels"] for name, side in sides.items() if gains}
    measured = {name: found for name, (_, found) in known.items()}
    samples = own.dataset.split(own.config.data.train)
    pairs = pairs_of(samples, own.truth)
    found = {[*stages][-1]: gains} if gains else None
    write_explorer(
        folder,
        stages,
        own.dataset.classes,
        pairs,
        measured,
        gains=found,
        workers=own.config.machine.workers,
    )
    name = f"{own.name} against {other.name}"
    write_page(folder / "images.html", "images.html.j2", {"name": name})


def _curves(own: Side, other: Side) -> Any:
    summaries = {side.name: side.summary for side in (own, other)}
    figure = run_curves(summaries, {name: index for index, name in enumerate(summaries)})
    return chart(figure, "curves") if figure.data else None


def _settings(own: Side, other: Side) -> Sequence[tuple[str, str, str]]:
    mine, theirs = dict(flat(own.summary["config"])), dict(flat(other.summary["config"]))
    keys = [*dict.fromkeys([*mine, *theirs])]
    pairs = [(key, theirs.get(key, "\N{EN DASH}"), mine.get(key, "\N{EN DASH}")) for key in keys]
    return [pair for pair in pairs if pair[1] != pair[2] and pair[0] != "run_dir"]
