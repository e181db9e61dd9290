"""Collect the figures of a run from its folder."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wsseg.data.classes import has_full_mask
from wsseg.data.model import Classes, Dataset
from wsseg.metrics.bootstrap import Interval
from wsseg.metrics.boundaries import boundary_f1, boundary_iou
from wsseg.metrics.counts import LabelCounts
from wsseg.metrics.estimate import PRIOR, ranking_quality
from wsseg.metrics.objects import iou_by_size
from wsseg.metrics.signals import SIGNALS
from wsseg.report.summary import (
    ClassStats,
    MaskStats,
    RoundStats,
    StageStats,
    Summary,
    TruthStats,
)
from wsseg.runs.config import Config
from wsseg.runs.names import labels_name, quality_name
from wsseg.runs.run import Run
from wsseg.runs.stage import finished_stage, stages_before
from wsseg.runs.stats import read_stats
from wsseg.stages.declared import declared_ious
from wsseg.stages.measure import pair_ious, read_counts
from wsseg.stages.signals import read_signals
from wsseg.stages.stopping import verdicts
from wsseg.stages.thresholds import threshold_curve
from wsseg.synthetic.costs import DRAWN_BOX, EXTREME_BOX, MASK, seconds_of

_COUNTED = ("resets", "restored", "objects", "fallbacks")
_MIN_RANKED = 20  # classes in images, to say how well a signal ranks them


def summarise(
    run: Path,
    config: Config,
    dataset: Dataset,
    *,
    stages: Sequence[str],
    result: Sequence[str],
    counts: Mapping[str, LabelCounts],
) -> Summary:
    """Return the summary of a run.

    Args:
        stages: Finished stages of label maps in order.
        result: The same stages, the preferred one first.
        counts: Comparisons with the truth by stage, those of "<stage>/val" among them.
    """
    measured = {name: truth_stats(of_stage) for name, of_stage in counts.items()}
    return Summary(
        classes=list(dataset.classes),
        seed=config.seed,
        config=config.model_dump(mode="json"),
        stages=stage_stats(run, stages, counts),
        measured=measured,
        verdicts=_rounds(run, stages, dataset.classes),
        result=result[0],
        **_validation(result, measured),
        **_tag_stats(run, dataset),
        **_mask_stats(run, config, dataset),
        annotation_seconds=_annotation_seconds(config, dataset),
    )


def stage_stats(
    run: Path, stages: Sequence[str], counts: Mapping[str, LabelCounts]
) -> list[StageStats]:
    """Return the figures of each stage; those that do not apply stay unset."""
    label_changes = _changes({name: name for name in stages}, counts)
    val_changes = _changes({name: f"{name}/val" for name in stages}, counts)
    records = []
    for name, seconds in _seconds(run, stages).items():
        record: dict[str, Any] = {"name": name, "seconds": seconds}
        if name in counts:
            quality = counts[name].quality
            record |= {"label_miou": quality.miou, "label_miou_covered": quality.miou_covered}
            record |= {"coverage": quality.coverage, "per_class": quality.per_class}
        if f"{name}/val" in counts:
            record["val_miou"] = counts[f"{name}/val"].quality.miou
        record |= {"label_change": label_changes.get(name), "val_change": val_changes.get(name)}
        record |= {**_counted(run, name), **_signal_stats(run, name)}
        known = {key: value for key, value in record.items() if value is not None}
        records.append(StageStats(**known))
    return records


def truth_stats(counts: LabelCounts) -> TruthStats:
    """Return the figures of the label maps of one stage against the truth."""
    quality, boundaries, calibration = counts.quality, counts.boundaries, counts.calibration
    shares = {
        "iou": quality.per_class,
        "precision": quality.precision,
        "recall": quality.recall,
        "boundary_iou": {
            name: int(shared) / int(union)
            for name, (shared, union) in zip(counts.classes, boundaries[:, 4:6], strict=True)
            if union
        },
    }
    confidence: dict[str, Any] = {}
    if calibration:
        confidence = {
            "reliability": calibration.reliability(),
            "calibration_error": calibration.error,
            "kept": [
                tuple(round(share, 4) for share in row) for row in calibration.coverage_curve()
            ],
        }
    return TruthStats(
        miou=quality.miou,
        interval=quality.interval()[1:],
        boundary_iou=boundary_iou(boundaries),
        boundary_f1=boundary_f1(boundaries),
        classes={
            name: ClassStats(**{key: of[name] for key, of in shares.items() if name in of})
            for name in counts.classes
        },
        confusion=counts.matrix.tolist(),
        sizes=iou_by_size(counts.objects),
        **confidence,
    )


def _rounds(run: Path, stages: Sequence[str], classes: Classes) -> list[RoundStats]:
    finished = [name for name in stages if finished_stage(run, name)]
    return [
        RoundStats.model_validate(verdict, from_attributes=True)
        for verdict in verdicts(run, finished, classes)
    ]


def _validation(result: Sequence[str], measured: Mapping[str, TruthStats]) -> dict[str, Any]:
    """Return the validation figures of the result's network."""
    for stage in result:
        if stats := measured.get(f"{stage}/val"):
            ious = {name: of.iou for name, of in stats.classes.items() if of.iou is not None}
            return {"val_miou": stats.miou, "val_interval": stats.interval, "val_per_class": ious}
    return {}


def _counted(run: Path, name: str) -> dict[str, int]:
    if not finished_stage(run, name):
        return {}
    table = read_stats(run / name).to_pandas()
    return {key: int(table[key].sum()) for key in _COUNTED if key in table}


def _signal_stats(run: Path, name: str) -> dict[str, Any]:
    """Return the means of the signals, and how well each ranks the true IoU.

    Images with declared masks are left out of the ranking, as the estimate has learned from them.
    """
    table = read_signals(run / name)
    if table is None:
        return {}
    means = table[[*dict.fromkeys([*PRIOR, *SIGNALS])]].mean()
    signals = {str(key): float(mean) for key, mean in means.items() if not np.isnan(mean)}
    ious, rows = pair_ious(run, name), table.set_index(["id", "class"])
    shared = rows.index.intersection(ious.index.difference(declared_ious(run, name).index))
    ranking = {}
    for key, sign in {"estimate": 1, **SIGNALS}.items():
        score: pd.Series = (rows.loc[shared, key] * sign).dropna()
        true = ious[score.index]
        if len(score) >= _MIN_RANKED and score.nunique() > 1 and true.nunique() > 1:
            ranking[key] = ranking_quality(score, true)
    return {"signals": signals, **({"agreement": ranking} if ranking else {})}


def _changes(names: Mapping[str, str], counts: Mapping[str, LabelCounts]) -> dict[str, Interval]:
    """Return the difference of each stage's mIoU from the stage before, on the same images."""
    known = [(stage, counts[name]) for stage, name in names.items() if name in counts]
    return {
        stage: now.quality.gain_over(before.quality)
        for (_, before), (stage, now) in pairwise(known)
        if before.ids == now.ids
    }


def _seconds(run: Path, stages: Sequence[str]) -> dict[str, float]:
    """Return the time of each stage, with what was made for it and for no stage before it."""
    seconds, counted = dict[str, float](), set[str]()
    for name in stages:
        parts = {name, f"{name}/model", f"{name}/val"}
        for part in tuple(parts):
            parts |= {*stages_before(run, part)}
        made = [stage for part in sorted(parts - counted) if (stage := finished_stage(run, part))]
        seconds[name] = sum(stage.manifest.seconds for stage in made if stage.manifest)
        counted |= parts
    return seconds


def _tag_stats(run: Path, dataset: Dataset) -> dict[str, Any]:
    """Return the figures of the classifier and its activation maps, if the run has them."""
    figures, curves = dict[str, Any](), {}
    for name in stages_before(run, "seeds"):
        stage, quality = finished_stage(run, name), finished_stage(run, quality_name(name))
        if stage and stage.results.get("average_precision"):
            figures["tag_precision"] = stage.results["average_precision"]
        matrices = quality.results["matrices"] if quality else 0
        if np.any(matrices):
            curves[name] = threshold_curve(np.array(matrices, np.int64), dataset.classes)
    return {**figures, "thresholds": curves} if curves else figures


def _mask_stats(run: Path, config: Config, dataset: Dataset) -> dict[str, Any]:
    """Return what a few masks were worth, if the run used any."""
    calibration, model = finished_stage(run, "calibration"), finished_stage(run, "finetuned/model")
    if not (calibration or finished_stage(run, "masks")):
        return {}
    base, val_miou = config.finetune.base, dict[str, float | None]()
    if base is not None:
        stage = labels_name(Run(base).last_model().name)
        val_miou["base"] = _val_miou(base, stage, dataset.classes)
    for name in ("masks-only", "finetuned"):
        val_miou[name] = _val_miou(run, name, dataset.classes)
    more = {}
    if calibration:
        results = calibration.results
        names = ("reliability", "calibration_error")
        more = {name: results[name] for name in names if name in results}
        more["thresholds"] = dict(zip(dataset.classes, results["thresholds"], strict=True))
    return {
        "masks": MaskStats(
            method=config.finetune.method,
            images=sum(map(has_full_mask, dataset.split(config.data.train))),
            val_miou=val_miou,
            collapsed=model.results.get("collapsed") if model else None,
            **more,
        )
    }


def _val_miou(run: Path, name: str, classes: Classes) -> float | None:
    counts = read_counts(run, f"{name}/val", classes)
    return counts.quality.miou if counts else None


def _annotation_seconds(config: Config, dataset: Dataset) -> tuple[float, float]:
    """Return the published annotation time of an image: boxes by extreme clicks, drawn boxes."""
    if Path(config.pipeline).stem == "full":
        return MASK, MASK
    samples = dataset.split(config.data.train)
    least, most = (
        sum(seconds_of(sample, box) for sample in samples) / len(samples)
        for box in (EXTREME_BOX, DRAWN_BOX)
    )
    return least, most
