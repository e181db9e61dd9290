"""What a summary says of each stage: figures against hidden truth, and signals without it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wsseg.data.model import Classes
from wsseg.metrics.boundaries import boundary_f1, boundary_iou
from wsseg.metrics.calibration import Calibration
from wsseg.metrics.counts import LabelCounts
from wsseg.metrics.estimate import PRIOR, ranking_quality
from wsseg.metrics.objects import iou_by_size
from wsseg.metrics.signals import SIGNALS
from wsseg.runs.stage import finished_stage, stages_before
from wsseg.runs.stats import read_stats
from wsseg.stages.declared import declared_ious
from wsseg.stages.measure import pair_ious
from wsseg.stages.signals import read_signals
from wsseg.stages.stopping import verdicts

_LEAST = 20  # classes in images, to say how well a signal ranks them


def stage_figures(
    run: Path, stages: Sequence[str], measured: Mapping[str, LabelCounts]
) -> list[dict[str, Any]]:
    """Return what the table of stages says.

    Args:
        run: The run's folder.
        stages: Names in order.
        measured: Counts of label maps, those of "<stage>/val" among them.

    Returns:
        For each stage "name", "seconds" and what applies of "label_miou", "label_miou_covered",
        "coverage", "per_class", "val_miou", "resets", "restored", "signals" (their means),
        "agreement" (``ranking_quality`` of each signal and the estimate), and
        "label_change" and "val_change", each the difference from the stage before and the ends of
        its interval. Shares are 0..1.
    """
    labels = _changes({name: name for name in stages}, measured)
    val = _changes({name: f"{name}/val" for name in stages}, measured)
    return [
        {
            "name": name,
            **_labels(measured.get(name)),
            **_counts(run, name),
            **({"label_change": labels[name]} if name in labels else {}),
            **({"val_change": val[name]} if name in val else {}),
            **_val(measured.get(f"{name}/val")),
            **_signals(run, name),
            "seconds": seconds,
        }
        for name, seconds in _seconds(run, stages).items()
    ]


def truth_figures(measured: LabelCounts) -> dict[str, Any]:
    """Return how good the label maps of a stage are, in all ways that a report shows.

    Args:
        measured: Counts of the label maps.

    Returns:
        "miou", its "interval", "boundary_iou" and "boundary_f1" (each a mean over classes),
        "classes" by name with those of "iou", "precision", "recall" and "boundary_iou" that apply,
        "confusion" of ``confusion_matrix``, "sizes" of ``iou_by_size``, and where the network's
        confidence is known "reliability", "calibration_error" and "kept", of ``Calibration``.
        Shares are 0..1.
    """
    quality, edges, sure = measured.quality, measured.boundaries, measured.calibration
    shares = {
        "iou": quality.per_class,
        "precision": quality.precision,
        "recall": quality.recall,
        "boundary_iou": _boundary_ious(measured),
    }
    return {
        "miou": quality.miou,
        "interval": [*quality.interval()[1:]],
        "boundary_iou": boundary_iou(edges),
        "boundary_f1": boundary_f1(edges),
        "classes": {
            name: {key: found[name] for key, found in shares.items() if name in found}
            for name in measured.classes
        },
        "confusion": measured.matrix.tolist(),
        "sizes": iou_by_size(measured.objects),
        **(_sureness(sure) if sure else {}),
    }


def verdict_figures(run: Path, stages: Sequence[str], classes: Classes) -> list[dict[str, Any]]:
    """Return what signals say of each round.

    Args:
        run: The run's folder.
        stages: Those of label maps in order, the seeds first.
        classes: Of the data set.

    Returns:
        The fields of each ``Verdict``, and its "worse", "word" and "reason".
    """
    known = [name for name in stages if finished_stage(run, name)]
    return [
        {**asdict(each), "worse": each.worse, "word": each.word, "reason": each.reason}
        for each in verdicts(run, known, classes)
    ]


def _sureness(sure: Calibration) -> dict[str, Any]:
    return {
        "reliability": sure.reliability(),
        "calibration_error": sure.error,
        "kept": [[round(share, 4) for share in row] for row in sure.coverage_curve()],
    }


def _labels(measured: LabelCounts | None) -> dict[str, Any]:
    if measured is None:
        return {}
    quality = measured.quality
    found = {
        "label_miou": quality.miou,
        "label_miou_covered": quality.miou_covered,
        "coverage": quality.coverage,
        "per_class": quality.per_class,
    }
    return {key: value for key, value in found.items() if value is not None}


def _counts(run: Path, name: str) -> dict[str, int]:
    if not finished_stage(run, name):
        return {}
    table = read_stats(run / name).to_pandas()
    return {key: int(table[key].sum()) for key in ("resets", "restored") if key in table}


def _val(measured: LabelCounts | None) -> dict[str, float]:
    return {"val_miou": measured.quality.miou} if measured else {}


def _signals(run: Path, name: str) -> dict[str, Any]:
    table = read_signals(run / name)
    if table is None:
        return {}
    means = table[[*dict.fromkeys([*PRIOR, *SIGNALS])]].mean()
    found = {str(key): float(mean) for key, mean in means.items() if not np.isnan(mean)}
    return {"signals": found, **_agreement(run, name, table)}


def _agreement(run: Path, name: str, table: pd.DataFrame) -> dict[str, Any]:
    """How well each signal ranks the IoU of classes in images whose masks taught nothing."""
    ious, named = pair_ious(run, name), table.set_index(["id", "class"])
    shared = named.index.intersection(ious.index.difference(declared_ious(run, name).index))
    signs = {"estimate": 1, **SIGNALS}
    found = {}
    for key, sign in signs.items():
        score = (named.loc[shared, key] * sign).dropna()
        true = ious[score.index]
        if len(score) >= _LEAST and score.nunique() > 1 and true.nunique() > 1:
            found[key] = ranking_quality(score, true)
    return {"agreement": found} if found else {}


def _changes(
    names: Mapping[str, str], measured: Mapping[str, LabelCounts]
) -> dict[str, Sequence[float]]:
    """By how much the mIoU of each stage differs from that of the one before, and the interval."""
    known = [(stage, measured[name]) for stage, name in names.items() if name in measured]
    return {
        stage: now.quality.gain_over(before.quality)
        for (_, before), (stage, now) in pairwise(known)
        if before.ids == now.ids
    }


def _boundary_ious(measured: LabelCounts) -> dict[str, float]:
    counts = zip(measured.classes, *measured.boundaries[:, 4:].T.tolist(), strict=True)
    return {name: both / either for name, both, either in counts if either}


def _seconds(run: Path, stages: Sequence[str]) -> dict[str, float]:
    """What each stage took, with all that was made for it and for none before it."""
    found, counted = dict[str, float](), set[str]()
    for name in stages:
        parts = {name, f"{name}/model", f"{name}/val"}
        for part in tuple(parts):
            parts |= {*stages_before(run, part)}
        taken = (finished_stage(run, part).get("seconds", 0.0) for part in parts - counted)
        found[name] = sum(taken)
        counted |= parts
    return found
