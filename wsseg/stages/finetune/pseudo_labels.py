"""Pseudo-labels and how sure their network is of them, before any is left out."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints
from wsseg.data.example import example_of
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.labelmaps import read_label_map, read_scores, write_label_map, write_scores
from wsseg.refine.scores import normalise
from wsseg.runs.config import Config
from wsseg.runs.labelling import label_path, map_stage, samples_key, scores_path
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.base_run import Base
from wsseg.stages.finetune.masks import without_mask
from wsseg.stages.training import segmenter_of


def label_surely(run: Run, dataset: Dataset, base: Base) -> Stage:
    """Return the stage "predicted": pseudo-labels and their probabilities.

    The label maps are those of the base where it has some, else the network's best permitted
    classes. Masks are not looked at, so that their images can tell how far to trust the others.

    Args:
        run: The run; ``config.prediction`` says how.
        dataset: Samples with annotations.
        base: The network and its labels.

    Returns:
        The complete stage: ``labels/<id>.png`` and ``scores/<id>.npz`` with one map, the
        probability of the label.
    """
    config = run.config
    samples = dataset.split(config.data.train)
    stage = run.stage(
        "predicted",
        model=base.model,
        labels=base.labels,
        samples=samples_key(map(without_mask, samples)),
        prediction=config.prediction,
    )
    work = partial(_label, stage=stage, base=base, config=config)
    return map_stage(run, stage, work, samples, is_valid=partial(_is_whole, stage))


def probabilities(scores: NDArray[np.floating], constraints: Constraints) -> NDArray[np.float32]:
    """Return what a network's probabilities become where some classes are known to be absent.

    Args:
        scores: (K, H, W) probabilities over all classes.
        constraints: What the annotations allow.

    Returns:
        (C, H, W) float32 over ``constraints.classes``, summing to 1; permitted classes are alike
        where the network gave none of them any probability.
    """
    return normalise(scores[constraints.classes], constraints.allowed)


def confidence_of(stage: Stage, identity: str) -> NDArray[np.float32]:
    """Return how sure the network is of an image's labels.

    Args:
        stage: Of ``label_surely``.
        identity: The image's id.

    Returns:
        (H, W) float32 in 0..1; 0 where there is no label.
    """
    found: NDArray[np.float32] = read_scores(scores_path(stage, identity))[1][0]
    return found


def _label(
    sample: Sample, stage: Stage, base: Base, config: Config
) -> tuple[str, list[dict[str, Any]]]:
    segmenter = segmenter_of(base.model, config.machine.device)
    example = example_of(without_mask(sample), len(segmenter.classes))
    constraints = example.constraints
    scores = segmenter.predict(example.image, config.prediction)
    shares = probabilities(scores, constraints)
    label_map = constraints.argmax(shares)
    if base.labels and (made := label_path(base.labels, sample)).exists():
        label_map = constraints.project(read_label_map(made))
    confidence = np.where(label_map == constraints.classes[:, None, None], shares, 0).max(axis=0)
    write_scores(scores_path(stage, sample.id), [0], confidence[None])
    write_label_map(label_path(stage, sample), label_map)
    labels, counts = np.unique(label_map, return_counts=True)
    found = zip(labels.tolist(), counts.tolist(), strict=True)
    return sample.id, [{"id": sample.id, "class": c, "pixels": n} for c, n in found]


def _is_whole(stage: Stage, identity: str) -> bool:
    try:
        label_map = read_label_map(stage.path / "labels" / f"{identity}.png")
        return label_map.shape == confidence_of(stage, identity).shape
    except InputError:
        return False
