"""The stage "<labels>/signals": signals of a stage's label maps, in a table beside them."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from wsseg.data.model import Sample
from wsseg.labelmaps import read_label_map
from wsseg.metrics.estimate import estimate_quality
from wsseg.metrics.signals import SIGNALS, measure_signals
from wsseg.runs.labelling import label_path, map_stage, merge, samples_key, usable_samples
from wsseg.runs.names import signals_name
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage, finished_stage
from wsseg.runs.stats import read_stats
from wsseg.stages.declared import DECLARED, declared_ious


def inspect(run: Run, history: Sequence[Stage], samples: Sequence[Sample]) -> Stage:
    """Return the stage "<labels>/signals": a row of ``SIGNALS`` for each class in each image.

    Args:
        history: Complete stages of label maps in order; the last one is inspected. What the first
            one tells of its masks counts for all.
    """
    labels, before = history[-1], history[-2] if len(history) > 1 else None
    stage = run.stage(
        signals_name(labels.name),
        labels=labels,
        before=before,
        samples=samples_key(samples),
        signals=[*SIGNALS],
    )
    work = partial(_rows, labels=labels, before=before, first=history[0])
    return map_stage(run, stage, work, usable_samples(labels, samples), needs_one=False)


def read_signals(labels: Path) -> pd.DataFrame | None:
    """Return the signals of a stage's label maps.

    Args:
        labels: The stage's folder, such as that of "round-1".

    Returns:
        A row for each class but the background in each image: "id", "class", ``SIGNALS``, and
        "estimate" of ``estimate_quality``, learned from the masks of ``declare_masks``; None if
        the stage was not inspected, or no image has a class.
    """
    if not finished_stage(labels.parent, signals_name(labels.name)):
        return None
    files = (labels / "signals" / "stats.parquet", labels.parent / DECLARED)
    return _scored(labels, *(file.stat().st_mtime_ns if file.exists() else 0 for file in files))


def _rows(
    sample: Sample, labels: Stage, before: Stage | None, first: Stage
) -> tuple[str, list[dict[str, Any]]]:
    rows = measure_signals(
        read_label_map(label_path(labels, sample)),
        None if before is None else read_label_map(label_path(before, sample)),
        sample,
        merge(_stats_of(first, sample.id), _stats_of(labels, sample.id)),
    )
    return sample.id, [{"id": sample.id, **row} for row in rows]


@lru_cache(maxsize=32)
def _scored(labels: Path, *times: int) -> pd.DataFrame | None:  # noqa: ARG001 - part of the key
    table: pd.DataFrame = read_stats(labels / "signals").to_pandas()
    if table.empty:
        return None
    table = table.set_index(["id", "class"]).reindex(columns=[*SIGNALS])
    known = declared_ious(labels.parent, labels.name)
    estimate = estimate_quality(table, known[known.index.isin(table.index)])
    return table.assign(estimate=estimate).reset_index()


def _stats_of(stage: Stage, identity: str) -> dict[int, dict[Any, Any]]:
    table = stage.load(_by_image)
    if identity not in table.index:
        return {}
    return {row["class"]: row for row in table.loc[[identity]].to_dict("records")}


def _by_image(folder: Path) -> pd.DataFrame:
    table: pd.DataFrame = read_stats(folder).to_pandas()
    return table.set_index("id").sort_index()
