"""The signals of a stage's label maps, in a table beside them."""

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wsseg.data.model import Box, Sample
from wsseg.data.stacking import visible_box_index
from wsseg.images import read_image
from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.metrics.estimate import estimated_quality
from wsseg.metrics.signals import SIGNALS, Look, contrast_of
from wsseg.runs.labelling import label_path, labelled, map_stage, samples_key
from wsseg.runs.stage import Run, Stage, finished_stage
from wsseg.runs.stats import read_stats
from wsseg.stages.declared import DECLARED, declared_ious


def inspect(run: Run, stages: Sequence[Stage], samples: Sequence[Sample]) -> Stage:
    """Return the stage "<labels>/signals": a row of ``SIGNALS`` for each class in each image.

    Classes are those that the label map has and those that boxes or tags name; the background is
    none. No truth is looked at.

    Args:
        run: The run.
        stages: Complete stages of label maps, the first one first; the last one is looked at.
        samples: The images with their annotations.

    Returns:
        The complete stage.
    """
    *earlier, labels = stages
    stage = run.stage(
        f"{labels.name}/signals",
        labels=labels,
        earlier=[each.key for each in earlier],
        samples=samples_key(samples),
        signals=[*SIGNALS],
    )
    work = partial(_rows, stages=stages)
    return map_stage(run, stage, work, labelled(labels, samples), needs_one=False)


def read_signals(labels: Path) -> pd.DataFrame | None:
    """Return what ``inspect`` found of a stage's label maps.

    Args:
        labels: The stage's folder, such as that of "round-1".

    Returns:
        A row for each class but the background in each image: "id", "class", ``SIGNALS``, and
        "estimate" of ``estimated_quality``, higher where labels look better, learned from the masks
        of ``declare_masks``; None where the stage was not inspected, or no image shows a class.
    """
    if not finished_stage(labels.parent, f"{labels.name}/signals"):
        return None
    files = (labels / "signals" / "stats.parquet", labels.parent / DECLARED)
    return _scored(labels, *(file.stat().st_mtime_ns if file.exists() else 0 for file in files))


def signals_of(
    image: NDArray[np.uint8],
    maps: Sequence[NDArray[np.uint8]],
    sample: Sample,
    facts: Mapping[int, Mapping[Any, float]],
) -> list[dict[str, float]]:
    """Return the signals of one image.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: Label maps (H, W) of the stages so far, the one to be looked at last.
        sample: Its boxes and tags.
        facts: Of the stage's statistics, by class.

    Returns:
        A row for each class but the background: "class" and ``SIGNALS``, NaN where one does not
        apply.
    """
    *earlier, label_map = maps
    owners, contrast = visible_box_index(sample.boxes, label_map.shape), contrast_of(image)
    named = {*(box.label for box in sample.boxes if not box.crowd), *sample.tagged}
    rows = []
    for label in sorted({*np.unique(label_map).tolist(), *named} - {0, IGNORE}):
        look = Look(
            label,
            label_map,
            earlier,
            contrast,
            _boxes(sample.boxes, owners, label),
            facts.get(label, {}),
        )
        rows.append({"class": label, **{name: f(look) for name, (f, _) in SIGNALS.items()}})
    return rows


def _boxes(
    boxes: Sequence[Box], owners: NDArray[np.intp], label: int
) -> list[tuple[Box, NDArray[np.bool_]]]:
    return [
        (box, owners == number)
        for number, box in enumerate(boxes)
        if box.label == label and not box.crowd
    ]


def _rows(sample: Sample, stages: Sequence[Stage]) -> tuple[str, list[dict[str, Any]]]:
    maps = [read_label_map(label_path(stage, sample)) for stage in stages]
    facts = _facts(stages[-1], sample.id)
    found = signals_of(read_image(sample.image), maps, sample, facts)
    return sample.id, [{"id": sample.id, **row} for row in found]


@lru_cache(maxsize=32)
def _scored(labels: Path, *times: int) -> pd.DataFrame | None:  # noqa: ARG001 - they are for the cache
    table: pd.DataFrame = read_stats(labels / "signals").to_pandas()
    if table.empty:
        return None
    table = table.set_index(["id", "class"]).reindex(columns=[*SIGNALS])
    known = declared_ious(labels.parent, labels.name)
    estimate = estimated_quality(table, known[known.index.isin(table.index)])
    return table.assign(estimate=estimate).reset_index()


def _facts(stage: Stage, identity: str) -> dict[int, dict[Hashable, Any]]:
    """What the stage found of an image, by class."""
    table = _by_image(stage.path, stage.key)
    if identity not in table.index:
        return {}
    return {row["class"]: row for row in table.loc[[identity]].to_dict("records")}


@lru_cache(maxsize=2)
def _by_image(folder: Path, key: str) -> pd.DataFrame:  # noqa: ARG001 - the key is for the cache
    table: pd.DataFrame = read_stats(folder).to_pandas()
    return table.set_index("id").sort_index()
