"""All images of a run on one page: a small file an image, which the page loads when it is shown."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wsseg.cleaning import RULES
from wsseg.data.model import Classes, Sample
from wsseg.data.strokes import Strokes, stroke_map
from wsseg.data.truth import Truth, true_label_map
from wsseg.files import write_text
from wsseg.images import read_image
from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.metrics.counts import LabelCounts
from wsseg.metrics.signals import SIGNALS
from wsseg.parallel import Skipped, map_locally
from wsseg.report.encoding import encoded_label_map, encoded_photograph, shown_size
from wsseg.report.gallery import css_colour
from wsseg.runs.labelling import made_by
from wsseg.runs.progress import track
from wsseg.stages.signals import read_signals

_SIDE = 280  # pixels: sharp on a card, small enough for ten thousand images
_DIGITS = 4
_COLUMNS = ("class", "estimate", *SIGNALS)


class Pair(NamedTuple):
    """An image with its annotations, and with its mask where there is hidden truth.

    Attributes:
        id: The image.
        sample: With its weak annotations.
        mask: Of ``Truth.with_mask``.
    """

    id: str
    sample: Sample
    mask: Sample | None


class _Shown(NamedTuple):
    """An image and its signals at each stage, (R, ``_COLUMNS``)."""

    id: str
    pair: Pair
    rows: dict[str, NDArray[np.float64]]


def write_explorer(
    folder: Path,
    stages: Mapping[str, Path],
    classes: Classes,
    pairs: Sequence[Pair],
    measured: Mapping[str, LabelCounts],
    *,
    gains: Mapping[str, Mapping[str, float]] | None = None,
    workers: int | None = None,
) -> None:
    """Write ``images/``, what the page of all images shows; that of an earlier report goes.

    Args:
        folder: The report's folder.
        stages: Folder of each stage of label maps by name, in order.
        classes: Names, background first.
        pairs: The images.
        measured: What was measured against hidden truth, by stage.
        gains: IoU that each image gains, by stage; what the page is sorted by, where it is given.
        workers: Processes; None is one a core.
    """
    shutil.rmtree(folder / "images", ignore_errors=True)
    write = partial(_write, folder=folder / "images", stages=dict(stages), n_classes=len(classes))
    signals = {name: _by_image(read_signals(path)) for name, path in stages.items()}
    work = [
        _Shown(p.id, p, {name: found[p.id] for name, found in signals.items() if p.id in found})
        for p in pairs
    ]
    results = map_locally(write, work, workers, strict=False)
    shown = track(results, "report", len(pairs))
    named = dict(item for item in shown if not isinstance(item, Skipped))
    ids = [pair.id for pair in pairs if pair.id in named]
    content = {
        "classes": [{"name": n, "colour": css_colour(i)} for i, n in enumerate(classes)],
        "ignore": {"label": IGNORE, "colour": css_colour(IGNORE)},
        "rules": RULES,
        "stages": [*stages],
        "ids": ids,
        "files": [named[id]["file"] for id in ids],
        "shows": [named[id]["shows"] for id in ids],
        "columns": _sortable(stages, ids, measured, gains or {}),
    }
    write_text(folder / "images" / "index.js", f"wsseg.start({_json(content)});\n")


def pairs_of(samples: Sequence[Sample], truth: Truth) -> list[Pair]:
    """Return images together with their hidden masks.

    Args:
        samples: With their weak annotations.
        truth: Hidden truth, may cover none of them.

    Returns:
        One pair an image.
    """
    return [Pair(s.id, s, truth.with_mask(s) if truth.covers(s) else None) for s in samples]


def _sortable(
    stages: Mapping[str, Path],
    ids: Sequence[str],
    measured: Mapping[str, LabelCounts],
    gains: Mapping[str, Mapping[str, float]],
) -> list[dict[str, Any]]:
    """What images can be sorted and filtered by: values by stage, in the order of ``ids``."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for stage, gained in gains.items():
        found.setdefault("gain", {})[stage] = _numbers(pd.Series(gained).reindex([*ids]))
    for stage, folder in stages.items():
        if (table := read_signals(folder)) is not None:
            means = table.drop(columns="class").groupby("id").mean().reindex([*ids])
            for name in means:
                found.setdefault(str(name), {})[stage] = _numbers(means[name])
        if stage in measured:
            ious = pd.Series(measured[stage].image_mious).reindex([*ids])
            found.setdefault("iou", {})[stage] = _numbers(ious)
    signs = {
        "gain": 1,
        "iou": 1,
        "estimate": 1,
        **SIGNALS,
    }
    return [
        {"name": name, "good": sign, "values": found[name]}
        for name, sign in signs.items()
        if any(value is not None for values in found.get(name, {}).values() for value in values)
    ]


def _numbers(values: pd.Series) -> list[float | None]:
    return [None if pd.isna(value) else round(float(value), _DIGITS) for value in values]


def _write(
    shown: _Shown, folder: Path, stages: Mapping[str, Path], n_classes: int
) -> tuple[str, dict[str, Any]]:
    pair = shown.pair
    image = read_image(pair.sample.image)
    maps, rules = (_maps(stages, kind, pair.id) for kind in ("labels", "rules"))
    truth = true_label_map(pair.mask, n_classes) if pair.mask else None
    content = {
        "photo": encoded_photograph(image, _SIDE),
        "size": shown_size((image.shape[0], image.shape[1]), _SIDE),
        "maps": {name: encoded_label_map(found, _SIDE) for name, found in maps.items()},
        "rules": {name: encoded_label_map(found, _SIDE) for name, found in rules.items()},
        "truth": None if truth is None else encoded_label_map(truth, _SIDE),
        **_given(pair.sample),
        "rows": {name: _named(rows) for name, rows in shown.rows.items()},
    }
    name = hashlib.sha256(pair.id.encode()).hexdigest()[:16]
    write_text(folder / f"{name}.js", f"wsseg.image({_json(name)}, {_json(content)});\n")
    shows = {int(label) for found in maps.values() for label in set(found.ravel().tolist())}
    shows |= {box.label for box in pair.sample.boxes} | {*pair.sample.tagged}
    labels = sorted(shows - {0, IGNORE})
    return pair.id, {"file": name, "shows": labels}


def _given(sample: Sample) -> dict[str, Any]:
    """Boxes as shares of the image's sides, and points and scribbles as a label map."""
    height, width = sample.size
    boxes = [
        [b.label, b.left / width, b.top / height, b.right / width, b.bottom / height]
        for b in sample.boxes
    ]
    strokes = [a for a in sample.annotations if isinstance(a, Strokes)]
    marks = encoded_label_map(stroke_map(strokes[-1], sample.size), _SIDE) if strokes else None
    return {"boxes": [[round(v, _DIGITS) for v in box] for box in boxes], "marks": marks}


def _maps(stages: Mapping[str, Path], kind: str, identity: str) -> dict[str, NDArray[np.uint8]]:
    files = {name: path / kind / f"{identity}.png" for name, path in stages.items()}
    found = {}
    for name, file in files.items():
        with made_by(stages[name]):
            if file.exists():
                found[name] = read_label_map(file)
    return found


def _by_image(table: pd.DataFrame | None) -> dict[str, NDArray[np.float64]]:
    """The rows of a table of signals by image, small enough to be sent to a process."""
    if table is None:
        return {}
    values = table[[*_COLUMNS]].to_numpy(float).round(_DIGITS)
    return {str(id): values[rows] for id, rows in table.groupby("id").indices.items()}


def _named(values: NDArray[np.float64]) -> list[dict[str, float]]:
    """A dict a row, without what does not apply."""
    return [
        {name: value for name, value in zip(_COLUMNS, row, strict=True) if not np.isnan(value)}
        for row in values.tolist()
    ]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
