"""The report of a run: one page that works offline from disk, and its figures as JSON."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsseg.errors import InputError
from wsseg.files import write_json
from wsseg.parallel import Skipped
from wsseg.report.charts import chart, threshold_lines
from wsseg.report.class_section import class_content
from wsseg.report.gallery import GalleryRow, legend, write_pictures
from wsseg.report.masks import mask_content
from wsseg.report.page import duration, percent, write_page
from wsseg.report.stage_section import stage_content


def write_report(
    folder: Path,
    summary: Mapping[str, Any],
    gallery: Sequence[GalleryRow] = (),
    set_aside: Sequence[Skipped] = (),
) -> None:
    """Write ``index.html``, its ``pictures/`` and ``summary.json``.

    The same arguments give the same files. The page needs no network: charts, styles and script
    are in it.

    Args:
        folder: Usually ``<run>/report``; pictures of an earlier report in it are replaced.
        summary: "classes", "seed", "config", "stages" of ``stage_figures``, "measured" with
            ``truth_figures`` by stage of label maps, "verdicts" of ``verdict_figures``, "result"
            (the stage that is used), "val_miou",
            its "val_interval" (95 %, of ``miou_interval``) and "val_per_class" where there is a
            validation split, and of a run on tags "tag_precision" by class and "thresholds", the
            mIoU of its activation maps ("cams", "spread") by score of the background; of a run with
            a few masks "masks", see ``mask_figures``. Shares are 0..1; NaN stands for a class that
            occurs nowhere.
        gallery: The images to show, in order.
        set_aside: Images that could not be used.
    """
    summary = _without_nan(summary)
    content = {
        "name": Path(summary["config"].get("run_dir", folder.resolve().parent)).name,
        "subtitle": _subtitle(summary),
        "tiles": _tiles(summary),
        **stage_content(summary),
        **class_content(summary),
        **_tag_content(summary),
        **mask_content(summary),
        "legend": legend(summary["classes"]),
        "gallery": write_pictures(folder, gallery),
        "set_aside": sorted(set_aside, key=lambda bad: bad.id),
        "settings": list(flat(summary["config"])),
    }
    write_page(folder / "index.html", "report.html.j2", content)
    write_json(folder / "summary.json", summary)


def read_summary(run_dir: Path) -> dict[str, Any]:
    """Return the ``summary.json`` of a run's report.

    Args:
        run_dir: The run's folder.

    Returns:
        What ``write_report`` was given; null where it was NaN.

    Raises:
        InputError: The run has no report yet, or a damaged one.
    """
    path, remedy = run_dir / "report" / "summary.json", f"write it with wsseg report {run_dir}"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        unfinished = "finish the run first"
        raise InputError(path, "a run's summary", "no such file", unfinished) from error
    except ValueError as error:
        raise InputError(path, "JSON", error, remedy) from error
    if not (isinstance(summary, dict) and {"classes", "config", "stages"} <= set(summary)):
        raise InputError(path, "a run's summary", "other content", remedy)
    return summary


def _subtitle(summary: Mapping[str, Any]) -> list[str]:
    config = summary["config"]
    parts = [f"pipeline {config['pipeline']}"] if "pipeline" in config else []
    if summary.get("masks"):
        parts.append(_base(config["finetune"]))
    elif "seeds" in config and config.get("pipeline") != "full":
        parts.append(f"first labels {_first_labels(config)}")
    if "model" in config:
        parts.append(f"{config['model']['architecture']} on {config['model']['encoder']}")
    return [*parts, f"seed {summary['seed']}"]


def _base(settings: Mapping[str, Any]) -> str:
    base = settings["base"]
    return f"{settings['method']} on {Path(base).name if base else 'masks alone'}"


def _first_labels(config: Mapping[str, Any]) -> str:
    if config.get("data", {}).get("weak", "boxes") == "boxes":
        return str(config["seeds"]["name"])
    cam = config["cam"]
    along = "" if cam["affinity"] == "none" else f" spread by {cam['affinity']}"
    return f"from tags: {cam['method']}{along}"


def _tiles(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    stages = summary["stages"]
    measured = [stage for stage in stages if stage.get("label_miou") is not None]
    tiles = []
    if measured:
        best = max(measured, key=lambda stage: stage["label_miou"])
        gain = 100 * (best["label_miou"] - measured[0]["label_miou"])
        title = f"best label mIoU, after {best['name']}"
        tiles.append({"value": f"{percent(best['label_miou'])} %", "title": title})
        title = f"points gained over {measured[0]['name']}"
        tiles.append({"value": f"{gain:+.1f}", "title": title})
    if summary.get("val_miou") is not None:
        value = f"{percent(summary['val_miou'])} %"
        of = "the final network" if _is_last(summary) else f"{summary['result']}, the result"
        title = f"validation mIoU of {of}{_among(summary.get('val_interval'))}"
        tiles.append({"value": value, "title": title})
    total = sum(stage["seconds"] for stage in stages)
    title = f"for {len(stages)} stages" if len(stages) > 1 else "for one stage"
    return [*tiles, {"value": duration(total), "title": title}]


def _is_last(summary: Mapping[str, Any]) -> bool:
    return summary.get("result") in (None, summary["stages"][-1]["name"])


def _among(interval: Sequence[float] | None) -> str:
    if interval is None:
        return ""
    low, high = map(percent, interval)
    return f"; {low} to {high} on other such images (95 %)"


def _tag_content(summary: Mapping[str, Any]) -> dict[str, Any]:
    precision, curves = summary.get("tag_precision") or {}, summary.get("thresholds")
    rows = sorted(precision.items(), key=lambda row: row[1])
    cam = summary["config"].get("cam", {})
    # a power of 1 - maximum is no place on the axis of constants
    chosen = [cam["background"], cam["foreground"]] if cam.get("threshold") == "constant" else []
    drawn = chart(threshold_lines(curves, chosen), "thresholds") if curves else None
    return {"tag_precision": rows, "thresholds": drawn}


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings one by one.

    Args:
        values: Mappings in mappings.
        prefix: Before each key.

    Yields:
        Each key, with dots between levels, and its value.
    """
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "null" if value is None else str(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
