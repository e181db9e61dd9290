"""Images without annotations that are of another kind than the data set's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import euclidean_distances

from wsseg.data.model import Sample
from wsseg.runs.labelling import usable_samples
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.stages.finetune.base_run import Base
from wsseg.stages.selection.embeddings import embed_images, embeddings_of
from wsseg.stages.selection.encoders import EncoderSource
from wsseg.stages.training import segmenter_of

_REFERENCE = 2000  # images of the data set at most; their distances to each other are a square


def without_outliers(
    run: Run, base: Base, known: Sequence[Sample], extra: Sequence[Sample], share: float
) -> list[Sample]:
    """Return the extra images that are as near the data set's images as these to each other.

    Distances are those of the base's encoder, from an image to the nearest of the data set. An
    image is left out where its distance is larger than that of ``share`` of the data set's own
    images.

    Args:
        run: Where embeddings are kept.
        base: Its network's encoder is used.
        known: Images of the data set.
        extra: Images to judge.
        share: 0..1; nearer 1 fewer are left out.

    Returns:
        The extra images that stay, in their order; how many were left out is told.

    References:
        Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, arXiv:2204.06507.
    """
    samples = [*known, *extra]
    segmenter = segmenter_of(base.model, run.config.machine.device)
    checkpoint, device = base.model.path / "model.ckpt", run.config.machine.device
    source = EncoderSource("run", segmenter.settings, checkpoint, device)
    stage = embed_images(run, samples, source)
    usable = usable_samples(stage, samples)
    embeddings, known_ids = embeddings_of(stage, samples), {sample.id for sample in known}
    is_known = np.array([sample.id in known_ids for sample in usable])
    reference = embeddings.of(_drawn(np.flatnonzero(is_known), run.config.seed))
    limit = np.quantile(own_distances(reference), share)
    others = [sample for sample, own in zip(usable, is_known, strict=True) if not own]
    far = embeddings.only(np.flatnonzero(~is_known)).distances(reference) > limit
    log(f"unlabelled: {far.sum()} of {len(others)} extra images are unlike the data set, left out")
    return [sample for sample, is_out in zip(others, far, strict=True) if not is_out]


def own_distances(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far each vector is from the nearest other one.

    Args:
        vectors: (N, D), N at least 2.

    Returns:
        (N,) float64.
    """
    square = euclidean_distances(vectors)
    np.fill_diagonal(square, np.inf)
    nearest: NDArray[np.float64] = square.min(axis=1).astype(np.float64)
    return nearest


def _drawn(numbers: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    if len(numbers) <= _REFERENCE:
        return numbers
    return np.random.default_rng(seed).choice(numbers, _REFERENCE, replace=False)
