"""Images without masks: selection of extra images, and their order by reliability (ST++)."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import euclidean_distances

from wsseg.data.classes import has_full_mask
from wsseg.data.example import example_of
from wsseg.data.model import Dataset, Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.images import image_files, image_size
from wsseg.networks.params import PredictionParams
from wsseg.networks.prediction import load_segmenter_cached
from wsseg.runs.labelling import map_stage, samples_key, usable_samples
from wsseg.runs.names import RELIABILITY
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.runs.stats import read_stats
from wsseg.stages.finetune.base_run import BaseRun
from wsseg.stages.selection.embeddings import embed_images, embeddings_of
from wsseg.stages.selection.encoders import EncoderSource
from wsseg.stages.training import segmenter_of

_MAX_REFERENCE = 2000  # images of the data set; the distances between them form a square matrix


def unlabelled_images(run: Run, dataset: Dataset, base: BaseRun, predicted: Stage) -> list[Sample]:
    """Return the training images without masks, and those of ``finetune.semi.extra``.

    Args:
        base: Network whose encoder tells which extra images differ from the data set.
        predicted: A stage that has skipped unreadable images.

    Raises:
        InputError: There is none.
    """
    config, semi = run.config, run.config.finetune.semi
    samples = usable_samples(predicted, dataset.split(config.data.train))
    unlabelled = [sample for sample in samples if not has_full_mask(sample)]
    if semi.extra:
        extra = extra_images(semi.extra, config.data)
        if semi.reject:
            extra = reject_outliers(run, base, samples, extra, semi.reject)
        unlabelled += extra
    if not unlabelled:
        remedy = "set finetune.semi.extra, or another finetune.method"
        raise InputError("finetune.method semi", "given images without masks", "none", remedy)
    return unlabelled


def extra_images(folder: Path, data: DataParams) -> list[Sample]:
    """Return all readable images below a folder as training samples without annotations.

    Raises:
        InputError: There is no readable image in it.
    """
    samples = [sample for path in image_files(folder) for sample in _open(path, folder, data)]
    if not samples:
        rule, remedy = "a folder with images", "check the path"
        raise InputError(f"finetune.semi.extra {folder}", rule, "no readable image", remedy)
    return samples


def _open(path: Path, folder: Path, data: DataParams) -> Iterator[Sample]:
    try:
        size = image_size(path)
    except InputError as error:
        log(f"left out: {error}")
        return
    name = path.relative_to(folder).with_suffix("").as_posix()
    yield Sample(f"extra/{name}", path, size, (), data.train, reading=data.reading)


def reject_outliers(
    run: Run, base: BaseRun, known: Sequence[Sample], extra: Sequence[Sample], share: float
) -> list[Sample]:
    """Return the extra images that are similar to the data set.

    The distance of an image is that to the nearest image of the data set, by the encoder of the
    base. An extra image is rejected if its distance exceeds the quantile ``share``
    of the distances of the data set's own images.

    Args:
        known: Images of the data set.

    References:
        Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, arXiv:2204.06507.
    """
    samples, device = [*known, *extra], run.config.machine.device
    segmenter, checkpoint = segmenter_of(base.model, device), base.model.path / "model.ckpt"
    stage = embed_images(run, samples, EncoderSource("run", segmenter.params, checkpoint, device))
    usable = usable_samples(stage, samples)
    embeddings, known_ids = embeddings_of(stage, samples), {sample.id for sample in known}
    is_known = np.array([sample.id in known_ids for sample in usable])
    numbers = np.flatnonzero(is_known)
    if len(numbers) > _MAX_REFERENCE:
        random = np.random.default_rng(run.config.seed)
        numbers = random.choice(numbers, _MAX_REFERENCE, replace=False)
    reference = embeddings.of(numbers)
    limit = np.quantile(nearest_distances(reference), share)
    others = [sample for sample, own in zip(usable, is_known, strict=True) if not own]
    is_far = embeddings.only(np.flatnonzero(~is_known)).distances(reference) > limit
    log(f"unlabelled: {is_far.sum()} of {len(others)} extra images differ from the data set")
    return [sample for sample, far in zip(others, is_far, strict=True) if not far]


def nearest_distances(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the distance (N,) of each of the vectors (N, D), N >= 2, to the nearest other one."""
    distances = euclidean_distances(vectors)
    np.fill_diagonal(distances, np.inf)
    nearest: NDArray[np.float64] = distances.min(axis=1).astype(np.float64)
    return nearest


def rank_by_reliability(run: Run, base: BaseRun, samples: Sequence[Sample]) -> list[Sample]:
    """Return readable images, those first on whose labels earlier networks agree.

    The reliability of an image is the mean over the earlier networks of the mIoU between their
    labels and those of the last one, projected onto the annotations; see stage "reliability".

    Raises:
        InputError: There is no earlier network.

    References:
        Yang et al., ST++, arXiv:2106.05095, where the earlier networks are checkpoints.
    """
    if not base.earlier:
        rule, remedy = "used with a base of at least two rounds", "or set it to false"
        raise InputError("finetune.semi.reliable_first", rule, "one", remedy)
    stage = run.stage(
        RELIABILITY,
        model=base.model,
        earlier=[str(path) for path in base.earlier],
        samples=samples_key(samples),
        prediction=run.config.prediction,
    )
    models = [base.model.path / "model.ckpt", *base.earlier]
    device = run.config.machine.device
    work = partial(_reliability, models=models, device=device, params=run.config.prediction)
    stage = map_stage(run, stage, work, samples)
    table = read_stats(stage.path).to_pandas().set_index("id")["reliability"]
    readable = [sample for sample in samples if sample.id in table.index]
    return sorted(readable, key=lambda sample: (-table[sample.id], sample.id))


def mean_iou(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean IoU of two label maps over the classes that either has."""
    shares = []
    for label in np.union1d(one, other):
        a, b = one == label, other == label
        shares.append((a & b).sum() / (a | b).sum())
    return float(np.mean(shares))


def _reliability(
    sample: Sample, models: Sequence[Path], device: str, params: PredictionParams
) -> tuple[str, list[dict[str, Any]]]:
    segmenters = [load_segmenter_cached(path, path.stat().st_mtime_ns, device) for path in models]
    example = example_of(sample, len(segmenters[0].classes))
    constraints, maps = example.constraints, []
    for segmenter in segmenters:
        scores = segmenter.predict(example.image, params)
        maps.append(constraints.argmax(scores[constraints.classes]))
    reliability = np.mean([mean_iou(earlier, maps[0]) for earlier in maps[1:]])
    return sample.id, [{"id": sample.id, "reliability": float(reliability)}]
