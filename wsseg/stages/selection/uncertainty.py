"""Uncertainty of a trained segmenter about an image, as far as its annotations leave it open."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints
from wsseg.data.example import example_of
from wsseg.data.model import Classes, Sample
from wsseg.files import fingerprint
from wsseg.metrics.confidence import margins, vote_entropies
from wsseg.networks.params import PredictionParams
from wsseg.networks.prediction import Segmenter, load_segmenter_cached
from wsseg.refine.scores import normalise
from wsseg.runs.labelling import map_stage, samples_key
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.runs.stats import read_stats


def margin(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    constraints: Constraints,
    prediction: PredictionParams,
) -> float:
    """Return the mean of ``margins`` over the pixels of an image."""
    scores = segmenter.predict(image, prediction)[constraints.classes]
    return float(margins(normalise(scores, constraints.allowed)).mean())


def vote_entropy(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    constraints: Constraints,
    prediction: PredictionParams,
) -> float:
    """Return the mean of ``vote_entropies`` over the pixels of an image.

    The votes are the label maps of the views: each scale, and its mirror image if ``flip`` is set.
    """
    views = []
    for scale in prediction.scales:
        one_view = prediction.model_copy(update={"scales": (scale,), "flip": False})
        views.append(segmenter.predict(image, one_view))
        if prediction.flip:
            views.append(segmenter.predict(image[:, ::-1], one_view)[..., ::-1])
    votes = [constraints.argmax(scores[constraints.classes]) for scores in views]
    return float(vote_entropies(votes).mean())


Measure = Callable[[Segmenter, NDArray[np.uint8], Constraints, PredictionParams], float]

MEASURES: dict[str, Measure] = {"margin": margin, "vote_entropy": vote_entropy}
"""Uncertainty 0..1 of an image (H, W, 3), by the ``uncertainty`` of ``SelectionParams``. Classes
that a pixel may not have do not count; a pixel whose class is known has uncertainty 0."""


def measure_uncertainty(
    run: Run,
    samples: Sequence[Sample],
    classes: Classes,
    measure: str,
    *,
    checkpoint: Path,
    prediction: PredictionParams,
) -> Stage:
    """Run the stage "uncertainty-<measure>", whose table has one row per image.

    Args:
        measure: Key of ``MEASURES``.

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
    """Return the result of ``measure_uncertainty`` for N images.

    Returns:
        (N,) float64, 0..1; NaN for images that were skipped or not measured.
    """
    table = read_stats(stage.path).to_pandas().set_index("id")["uncertainty"]
    return np.asarray(table.reindex([sample.id for sample in samples]), np.float64)


def _measure(
    sample: Sample, measure: str, checkpoint: Path, prediction: PredictionParams, key: str
) -> tuple[str, list[dict[str, Any]]]:
    segmenter = load_segmenter_cached(checkpoint, key)
    example = example_of(sample, len(segmenter.classes))
    value = MEASURES[measure](segmenter, example.image, example.constraints, prediction)
    return sample.id, [{"id": sample.id, "uncertainty": value}]
