"""How unsure a trained segmenter is of an image, as far as its annotations leave anything open."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wsseg.annotations.constraints import Constraints, constraints_of
from wsseg.annotations.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.refine.scores import normalised
from wsseg.run.labelling import map_stage, samples_key
from wsseg.run.settings import PredictionSettings
from wsseg.run.stage import Run, Stage, fingerprint
from wsseg.segmenter.prediction import Segmenter, kept_segmenter


def margins(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return how little the best class of each pixel leads: 1 - (p1 - p2).

    Args:
        probabilities: (C, H, W) that sum to 1 over C; 0 for classes that a pixel may not have.

    Returns:
        (H, W) float32, 0..1: 0 where one class is certain, 1 where two are equally likely.

    References:
        Scheffer et al., Active Hidden Markov Models for Information Extraction, IDA 2001.

    Example:
        >>> margins(np.array([[[0.5, 1.0]], [[0.25, 0.0]], [[0.25, 0.0]]])).tolist()
        [[0.75, 0.0]]
    """
    if len(probabilities) == 1:
        return np.zeros(probabilities.shape[1:], np.float32)
    second, first = np.partition(probabilities, -2, axis=0)[-2:]
    return np.asarray(1 - (first - second), np.float32)


def vote_entropies(votes: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return how much label maps of one image disagree at each pixel.

    The entropy of the classes that they give it, -sum_c v_c/V log(v_c/V) over the V maps, as a
    share of log V.

    Args:
        votes: V label maps (H, W), at least 2.

    Returns:
        (H, W) float32, 0..1: 0 where all agree, 1 where each says something else.

    Raises:
        InputError: There are fewer than 2.

    References:
        Dagan and Engelson, Committee-Based Sampling for Training Probabilistic Classifiers,
        ICML 1995.

    Example:
        >>> maps = [np.array([[1, 1]], np.uint8), np.array([[1, 2]], np.uint8)]
        >>> vote_entropies(maps).tolist()
        [[0.0, 1.0]]
    """
    if len(votes) < 2:
        remedy = "give more --scales, or set prediction.flip=true in the run"
        raise InputError("views of vote_entropy", "at least 2", len(votes), remedy)
    stacked = np.stack(votes)
    entropy = np.zeros(stacked.shape[1:], np.float64)
    for label in np.unique(stacked):
        share = (stacked == label).mean(axis=0)
        entropy -= share * np.log(share, out=np.zeros_like(share), where=share > 0)
    return np.asarray((entropy / np.log(len(votes))).clip(0), np.float32)


def margin(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    constraints: Constraints,
    prediction: PredictionSettings,
) -> float:
    """Return the mean of ``margins`` over an image; see ``MEASURES``."""
    scores = segmenter.predict(image, prediction)[constraints.classes]
    return float(margins(normalised(scores, constraints.allowed)).mean())


def vote_entropy(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    constraints: Constraints,
    prediction: PredictionSettings,
) -> float:
    """Return the mean of ``vote_entropies`` of an image's views; see ``MEASURES``."""
    views = _views(segmenter, image, prediction)
    votes = [constraints.best(scores[constraints.classes]) for scores in views]
    return float(vote_entropies(votes).mean())


Measure = Callable[[Segmenter, NDArray[np.uint8], Constraints, PredictionSettings], float]

MEASURES: dict[str, Measure] = {"margin": margin, "vote_entropy": vote_entropy}
"""Trained network, image (H, W, 3), what its annotations allow, scales and mirror -> how unsure
the network is of it, 0..1, by name. Classes that a pixel may not have do not count; a pixel whose
class is known has 0."""


def measure_uncertainty(
    run: Run,
    samples: Sequence[Sample],
    classes: Classes,
    measure: str,
    *,
    checkpoint: Path,
    prediction: PredictionSettings,
) -> Stage:
    """Return the stage "uncertainty-<measure>"; its table has a row an image.

    Args:
        run: Where it is kept, and in how many processes it works.
        samples: The images with their annotations.
        classes: Of the data set.
        measure: A key of ``MEASURES``.
        checkpoint: The trained network.
        prediction: Scales and mirror.

    Returns:
        The complete stage.

    Raises:
        InputError: No image could be used.
    """
    stage = run.stage(
        f"uncertainty-{measure}",
        samples=samples_key(samples),
        classes=list(classes),
        checkpoint=fingerprint(checkpoint),
        prediction=prediction,
    )
    work = partial(
        _measure, measure=measure, checkpoint=checkpoint, prediction=prediction, key=stage.key
    )
    return map_stage(run, stage, work, samples)


def uncertainties_of(stage: Stage, samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return what a complete stage has measured.

    Args:
        stage: Of ``measure_uncertainty``.
        samples: N images.

    Returns:
        (N,) float64, 0..1; NaN for images that were set aside or not given to it.
    """
    table = pd.read_parquet(stage.path / "stats.parquet").set_index("id")["uncertainty"]
    return table.reindex([sample.id for sample in samples]).to_numpy(np.float64)


def _measure(
    sample: Sample, measure: str, checkpoint: Path, prediction: PredictionSettings, key: str
) -> tuple[str, list[dict[str, Any]]]:
    segmenter = kept_segmenter(checkpoint, key)
    constraints = constraints_of(sample, len(segmenter.classes))
    image = read_image(sample.image)
    if image.shape[:2] != sample.size:
        rule, remedy = f"of the annotated size {sample.size}", "annotate this image or replace it"
        raise InputError(sample.image, rule, image.shape[:2], remedy)
    value = MEASURES[measure](segmenter, image, constraints, prediction)
    return sample.id, [{"id": sample.id, "uncertainty": value}]


def _views(
    segmenter: Segmenter, image: NDArray[np.uint8], prediction: PredictionSettings
) -> Iterator[NDArray[np.float32]]:
    for scale in prediction.scales:
        alone = prediction.model_copy(update={"scales": (scale,), "flip": False})
        yield segmenter.predict(image, alone)
        if prediction.flip:
            yield segmenter.predict(image[:, ::-1], alone)[..., ::-1]
