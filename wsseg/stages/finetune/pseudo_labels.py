"""Pseudo-labels of the training images and their confidence."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import example_of
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.labelmaps import read_label_map, read_scores, write_label_map, write_scores
from wsseg.refine.scores import normalise
from wsseg.runs.labelling import label_path, map_stage, samples_key, scores_path
from wsseg.runs.names import PREDICTED
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.base_run import BaseRun
from wsseg.stages.finetune.masks import remove_full_mask
from wsseg.stages.training import Predict, predictor_of


def predict_pseudo_labels(run: Run, dataset: Dataset, base: BaseRun) -> Stage:
    """Return the complete stage "predicted": pseudo-labels and their confidence.

    The label maps are those of the base if it has some, else the network's best allowed classes.
    Masks are not used, so that their images can measure how reliable the labels are. Files are
    ``labels/<id>.png`` and ``scores/<id>.npz`` with one map, the probability of the label.
    """
    config = run.config
    samples = dataset.split(config.data.train)
    stage = run.stage(
        PREDICTED,
        model=base.model,
        labels=base.labels,
        samples=samples_key(map(remove_full_mask, samples)),
        prediction=config.prediction,
    )
    predict = predictor_of(base.model, config)
    work = partial(
        _label, stage=stage, n_classes=len(dataset.classes), predict=predict, labels=base.labels
    )
    return map_stage(run, stage, work, samples, is_valid=partial(_is_whole, stage))


def read_confidence(stage: Stage, identity: str) -> NDArray[np.float32]:
    """Return the confidence of the labels of an image.

    Args:
        stage: The stage of ``predict_pseudo_labels``.
        identity: The id of the image.

    Returns:
        (H, W) float32 in 0..1; 0 where there is no label.
    """
    confidence: NDArray[np.float32] = read_scores(scores_path(stage, identity))[1][0]
    return confidence


def _label(
    sample: Sample, stage: Stage, n_classes: int, predict: Predict, labels: Stage | None
) -> tuple[str, list[dict[str, Any]]]:
    example = example_of(remove_full_mask(sample), n_classes)
    constraints = example.constraints
    scores = predict(example.image)
    shares = normalise(scores[constraints.classes], constraints.allowed)
    label_map = constraints.argmax(shares)
    if labels and (file := label_path(labels, sample)).exists():
        label_map = constraints.project(read_label_map(file))
    confidence = np.where(label_map == constraints.classes[:, None, None], shares, 0).max(axis=0)
    write_scores(scores_path(stage, sample.id), [0], confidence[None])
    write_label_map(label_path(stage, sample), label_map)
    classes, counts = np.unique(label_map, return_counts=True)
    pairs = zip(classes.tolist(), counts.tolist(), strict=True)
    return sample.id, [{"id": sample.id, "class": c, "pixels": n} for c, n in pairs]


def _is_whole(stage: Stage, identity: str) -> bool:
    try:
        label_map = read_label_map(stage.path / "labels" / f"{identity}.png")
        return label_map.shape == read_confidence(stage, identity).shape
    except InputError:
        return False
