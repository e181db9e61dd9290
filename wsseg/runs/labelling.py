"""Stages that write one file per image and resume where they were interrupted."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.bands import ImageParams
from wsseg.data.annotation import MaskFile
from wsseg.data.model import Sample
from wsseg.errors import DamagedError, InputError
from wsseg.files import fingerprint
from wsseg.labelmaps import read_label_map, write_label_map
from wsseg.parallel import Batches, keep_results
from wsseg.runs.engine import map_samples
from wsseg.runs.progress import log, track
from wsseg.runs.records import record_results, recorded_ids, rows_by_image
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.runs.stats import read_stats, write_stats

_LINES = "stats.jsonl"
_MANY = 0.9  # share of refused objects from which a model helps little

ClassStats = dict[int, dict[str, Any]]
"""Statistics of the classes of an image, such as ``{3: {"resets": 1}}``."""

Labeller = Callable[[Sample], tuple[NDArray[np.uint8], ClassStats]]
"""Returns the label map (H, W) of a sample and statistics; picklable."""

Work = Callable[[Sample], tuple[str, list[dict[str, Any]]]]
"""Writes the file of a sample and returns its id and rows of statistics; picklable."""


def label_images(
    run: Run,
    stage: Stage,
    labeller: Labeller,
    samples: Sequence[Sample],
    skipped: Mapping[str, str] | None = None,
    *,
    models: Mapping[str, Any] | None = None,
    batches: Batches[Sample] | None = None,
) -> Stage:
    """Write ``labels/<id>.png`` for every sample and ``stats.parquet`` with a row per class.

    Args:
        labeller: Called in worker processes.
        skipped: Images that an earlier stage skipped, and the reasons; added to those of this
            stage.
        models: What identifies the foundation models of the stage, for its manifest.
        batches: Call ``labeller`` in threads that share a model, instead of worker processes.

    Returns:
        The complete stage; ``skipped`` of it are the images that could not be used.

    Raises:
        InputError: No image could be labelled, or one could not and the run is strict.
    """
    label = partial(_label, labeller=labeller, folder=stage.path / "labels")
    has_label_map = partial(_has_label_map, stage)
    return map_stage(
        run,
        stage,
        label,
        samples,
        is_valid=has_label_map,
        skipped=skipped,
        models=models,
        batches=batches,
    )


def map_stage(
    run: Run,
    stage: Stage,
    work: Work,
    samples: Sequence[Sample],
    *,
    is_valid: Callable[[str], bool] | None = None,
    skipped: Mapping[str, str] | None = None,
    models: Mapping[str, Any] | None = None,
    needs_one: bool = True,
    batches: Batches[Sample] | None = None,
) -> Stage:
    """Do some work for every sample and write ``stats.parquet`` with the rows it returns.

    Args:
        work: Called in worker processes.
        is_valid: Returns whether the file that an interrupted attempt wrote for an image id can
            be used; None if everything is in the rows.
        skipped: Images that an earlier stage skipped, and the reasons; added to those of this
            stage.
        models: What identifies the foundation models of the stage, for its manifest.
        needs_one: Raise an error if the work failed for every image.
        batches: Call ``work`` in threads that share a model, instead of worker processes.

    Returns:
        The complete stage; ``skipped`` of it are the images that could not be used.

    Raises:
        InputError: The work failed for every image and ``needs_one`` is set, or for one and the
            run is strict.
    """
    recorded = {"models": dict(models)} if models else {}
    do = partial(_map, run, stage, work, samples, is_valid, skipped or {}, needs_one, batches)
    stage.run(lambda: recorded | do())
    (stage.path / _LINES).unlink(missing_ok=True)
    return stage


def _map(  # noqa: PLR0917 - the arguments of map_stage
    run: Run,
    stage: Stage,
    work: Work,
    samples: Sequence[Sample],
    is_valid: Callable[[str], bool] | None,
    before: Mapping[str, str],
    needs_one: bool,
    batches: Batches[Sample] | None,
) -> dict[str, Any]:
    lines, unsorted = stage.path / _LINES, dict[str, str]()
    done = {id for id in recorded_ids(lines) if is_valid is None or is_valid(id)}
    remaining = [sample for sample in samples if sample.id not in done]
    results = map_samples(partial(_do, work=work, run=run.path), remaining, run.config, batches)
    tracked = track(results, stage.name, len(samples), len(done))
    record_results(lines, keep_results(tracked, unsorted))
    skipped = dict(sorted(unsorted.items()))
    if needs_one and len(skipped) == len(samples):
        reason = f": {next(iter(skipped.values()))}" if skipped else ""
        raise InputError(f"stage {stage.name} has no usable image{reason}", hint="correct the data")
    write_stats(stage.path, rows_by_image(lines))
    for identity, reason in skipped.items():
        log(f"{stage.name}: skipped {identity}: {reason}")
    return {"images": len(samples) - len(skipped), "skipped": {**before, **skipped}}


def merge(*stats: Mapping[int, Mapping[str, Any]]) -> ClassStats:
    """Return all statistics of each class; the last of several values of one name counts."""
    merged: ClassStats = {}
    for part in stats:
        for label, values in part.items():
            merged.setdefault(label, {}).update(values)
    return merged


def label_path(stage: Stage, sample: Sample) -> Path:
    """Return the palette PNG of a sample in a stage of ``label_images``."""
    return stage.path / "labels" / f"{sample.id}.png"


def confidence_path(stage: Stage, sample: Sample) -> Path:
    """Return the grayscale PNG of the confidence in a label map; not every stage has one."""
    return stage.path / "confidence" / f"{sample.id}.png"


def refused_sentence(folder: Path) -> str | None:
    """Return how many objects SAM was asked for and how many masks were refused, as a sentence.

    Args:
        folder: Folder of a complete stage; None if SAM was not asked.
    """
    table = read_stats(folder).to_pandas()
    objects, refused = (int(table[n].sum()) if n in table else 0 for n in ("objects", "fallbacks"))
    if not objects:
        return None
    share = f"{100 * refused / objects:.0f} %"
    sentence = f"SAM was asked for {objects} objects; the masks of {refused} ({share}) were refused"
    warning = "; this model is not made for these images" if refused > _MANY * objects else ""
    return sentence + warning


def candidates_path(stage: Path, identity: str) -> Path:
    """Return the figure of the masks that the seed of an image compared, in a stage's folder."""
    return stage / "candidates" / f"{identity}.jpg"


def scores_path(stage: Stage, identity: str) -> Path:
    """Return the file of the activation maps of an image in a stage that has them."""
    return stage.path / "scores" / f"{identity}.npz"


def usable_samples(stage: Stage, samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that a complete stage has not skipped."""
    skipped = stage.skipped
    return [sample for sample in samples if sample.id not in skipped]


def samples_key(samples: Iterable[Sample]) -> str:
    """Return a hexadecimal SHA-256 that changes with the files and annotations of samples."""
    digest = hashlib.sha256()
    for sample in samples:
        masks = [
            fingerprint(a.path) if a.labels is None else (fingerprint(a.path), a.labels)
            for a in sample.annotations
            if isinstance(a, MaskFile)
        ]
        drawn = [a for a in sample.annotations if not isinstance(a, MaskFile)]
        reading = [] if sample.reading == ImageParams() else [sample.reading]
        described = (sample.id, sample.size, fingerprint(sample.image), drawn, masks, *reading)
        digest.update(repr(described).encode())
    return digest.hexdigest()


@contextmanager
def damage_in(run: Path) -> Iterator[None]:
    """Distinguish files that a run wrote from its input.

    Raises:
        DamagedError: In place of an ``InputError`` about a file in the folder of the run.
    """
    try:
        yield
    except InputError as error:
        if Path(error.subject).is_relative_to(run):
            raise DamagedError(error.subject, error.rule, error.got, error.remedy) from error
        raise


def _do(sample: Sample, work: Work, run: Path) -> tuple[str, list[dict[str, Any]]]:
    # An image is skipped for its own faults, not for those of the files of the run.
    with damage_in(run):
        return work(sample)


def _label(sample: Sample, labeller: Labeller, folder: Path) -> tuple[str, list[dict[str, Any]]]:
    label_map, stats = labeller(sample)
    write_label_map(folder / f"{sample.id}.png", label_map)
    labels, counts = np.unique(label_map, return_counts=True)
    pixels = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    return sample.id, [
        {"id": sample.id, "class": label, "pixels": pixels.get(label, 0), **stats.get(label, {})}
        for label in sorted({*pixels, *stats})
    ]


def _has_label_map(stage: Stage, identity: str) -> bool:
    """Return False also if a power cut left an empty file."""
    try:
        read_label_map(stage.path / "labels" / f"{identity}.png")
    except InputError:
        return False
    return True
