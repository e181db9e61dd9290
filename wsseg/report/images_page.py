"""``images.html``: all images of a run, each in a small file that is loaded when it is shown."""

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wsseg.cleaning import RULES
from wsseg.data.model import Sample
from wsseg.data.strokes import Strokes, stroke_map
from wsseg.data.truth import Truth, true_label_map
from wsseg.files import write_text
from wsseg.images import read_image
from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.metrics.counts import LabelCounts
from wsseg.metrics.signals import SIGNALS
from wsseg.parallel import Skipped, map_locally
from wsseg.report.page import css_colour, write_page
from wsseg.report.pictures import encode_image, shown_size
from wsseg.runs.labelling import candidates_path, damage_in
from wsseg.runs.progress import track
from wsseg.stages.signals import read_signals

_SIDE = 280  # pixels: sharp on a card, small enough for ten thousand images
_DIGITS = 4
_COLUMNS = ("class", "estimate", *SIGNALS)


class _Work(NamedTuple):
    """An image, its mask if there is hidden truth, and its signals at each stage (R, columns)."""

    id: str
    sample: Sample
    mask: Sample | None
    rows: dict[str, NDArray[np.float64]]


def write_images_page(
    folder: Path,
    *,
    name: str,
    stages: Mapping[str, Path],
    classes: Sequence[str],
    samples: Sequence[Sample],
    truth: Truth,
    counts: Mapping[str, LabelCounts],
    gains: Mapping[str, Mapping[str, float]] | None = None,
    workers: int | None = None,
) -> None:
    """Write ``images.html`` and ``images/``; those of an earlier report are replaced.

    Args:
        name: Heading of the page.
        stages: Folder of each stage of label maps by name, in order.
        classes: Names, background first.
        truth: Hidden truth; may cover none of them.
        counts: Comparisons with the truth, by stage.
        gains: Gain of IoU of each image, by stage; the page is sorted by it if it is given.
        workers: Processes; None is one a core.
    """
    shutil.rmtree(folder / "images", ignore_errors=True)
    write = partial(_write, folder=folder / "images", stages=dict(stages), n_classes=len(classes))
    signals = {stage: _by_image(read_signals(path)) for stage, path in stages.items()}
    work = [
        _Work(
            sample.id,
            sample,
            truth.with_mask(sample) if truth.covers(sample) else None,
            {stage: rows[sample.id] for stage, rows in signals.items() if sample.id in rows},
        )
        for sample in samples
    ]
    results = track(map_locally(write, work, workers, strict=False), "report", len(work))
    written = dict(item for item in results if not isinstance(item, Skipped))
    ids = [item.id for item in work if item.id in written]
    content = {
        "classes": [{"name": n, "colour": css_colour(i)} for i, n in enumerate(classes)],
        "ignore": {"label": IGNORE, "colour": css_colour(IGNORE)},
        "rules": RULES,
        "stages": [*stages],
        "ids": ids,
        "files": [written[id]["file"] for id in ids],
        "shows": [written[id]["shows"] for id in ids],
        "columns": _sortable(stages, ids, counts, gains or {}),
    }
    write_text(folder / "images" / "index.js", f"wsseg.start({_json(content)});\n")
    write_page(folder / "images.html", "images.html.j2", {"name": name})


def encode_label_map(label_map: NDArray[np.uint8], side: int) -> str:
    """Return a label map as base64 of its run lengths, row by row.

    Each run is its label in one byte, and its length in bytes of seven bits, the lowest first,
    each but the last with its eighth bit set (LEB128).

    Args:
        label_map: (H, W) uint8.
        side: Pixels that its longer side has at most; each shows the pixel at its centre.
    """
    size = shown_size((label_map.shape[0], label_map.shape[1]), side)
    exact = cv2.INTER_NEAREST_EXACT
    shown = cv2.resize(label_map, size[::-1], interpolation=exact).astype(np.uint8).ravel()
    starts = np.flatnonzero(np.append(True, shown[1:] != shown[:-1]))
    lengths = np.diff(np.append(starts, shown.size))
    code = bytearray()
    for label, length in zip(shown[starts].tolist(), lengths.tolist(), strict=True):
        rest = length
        code.append(label)
        while rest > 0x7F:
            code.append(rest & 0x7F | 0x80)
            rest >>= 7
        code.append(rest)
    return base64.b64encode(code).decode()


def _write(
    work: _Work, folder: Path, stages: Mapping[str, Path], n_classes: int
) -> tuple[str, dict[str, Any]]:
    sample = work.sample
    image = read_image(sample.image, sample.reading)
    maps, rules = (_maps(stages, kind, work.id) for kind in ("labels", "rules"))
    truth = true_label_map(work.mask, n_classes) if work.mask else None
    height, width = sample.size
    boxes = [
        (b.label, b.left / width, b.top / height, b.right / width, b.bottom / height)
        for b in sample.boxes
    ]
    strokes = [a for a in sample.annotations if isinstance(a, Strokes)]
    content = {
        "photo": encode_image(image, _SIDE),
        "size": shown_size((image.shape[0], image.shape[1]), _SIDE),
        "maps": {name: encode_label_map(label_map, _SIDE) for name, label_map in maps.items()},
        "rules": {name: encode_label_map(rule_map, _SIDE) for name, rule_map in rules.items()},
        "truth": None if truth is None else encode_label_map(truth, _SIDE),
        "boxes": [[round(value, _DIGITS) for value in box] for box in boxes],
        "marks": encode_label_map(stroke_map(strokes[-1], sample.size), _SIDE) if strokes else None,
        "rows": {name: _named(rows) for name, rows in work.rows.items()},
        "candidates": _candidates(stages, work.id),
    }
    name = hashlib.sha256(work.id.encode()).hexdigest()[:16]
    write_text(folder / f"{name}.js", f"wsseg.image({_json(name)}, {_json(content)});\n")
    shows = {label for label_map in maps.values() for label in np.unique(label_map).tolist()}
    shows |= {box.label for box in sample.boxes} | {*sample.tagged}
    return work.id, {"file": name, "shows": sorted(shows - {0, IGNORE})}


def _candidates(stages: Mapping[str, Path], identity: str) -> str | None:
    """Return the figure of the masks that were compared for an image, as a data URI."""
    for folder in stages.values():
        if (path := candidates_path(folder, identity)).is_file():
            return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    return None


def _maps(stages: Mapping[str, Path], kind: str, identity: str) -> dict[str, NDArray[np.uint8]]:
    maps = {}
    for name, path in stages.items():
        file = path / kind / f"{identity}.png"
        with damage_in(path):
            if file.exists():
                maps[name] = read_label_map(file)
    return maps


def _sortable(
    stages: Mapping[str, Path],
    ids: Sequence[str],
    counts: Mapping[str, LabelCounts],
    gains: Mapping[str, Mapping[str, float]],
) -> list[dict[str, Any]]:
    """Return what images can be sorted and filtered by: values by stage, in the order of ids."""
    columns: dict[str, dict[str, list[float | None]]] = {}

    def add(name: str, stage: str, values: pd.Series) -> None:
        rounded = [None if pd.isna(v) else round(float(v), _DIGITS) for v in values.reindex([*ids])]
        columns.setdefault(name, {})[stage] = rounded

    for stage, gained in gains.items():
        add("gain", stage, pd.Series(gained))
    for stage, folder in stages.items():
        if (table := read_signals(folder)) is not None:
            means = table.drop(columns="class").groupby("id").mean()
            for name in means:
                add(str(name), stage, means[name])
        if stage in counts:
            add("iou", stage, pd.Series(counts[stage].image_mious))
    signs = {"gain": 1, "iou": 1, "estimate": 1, **SIGNALS}
    return [
        {"name": name, "good": sign, "values": columns[name]}
        for name, sign in signs.items()
        if any(value is not None for values in columns.get(name, {}).values() for value in values)
    ]


def _by_image(table: pd.DataFrame | None) -> dict[str, NDArray[np.float64]]:
    """Return the rows of a table of signals by image, small enough to be sent to a process."""
    if table is None:
        return {}
    values = table[[*_COLUMNS]].to_numpy(float).round(_DIGITS)
    return {str(id): values[rows] for id, rows in table.groupby("id").indices.items()}


def _named(values: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return a dict a row, without what does not apply."""
    return [
        {name: value for name, value in zip(_COLUMNS, row, strict=True) if not np.isnan(value)}
        for row in values.tolist()
    ]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
