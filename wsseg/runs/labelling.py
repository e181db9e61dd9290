"""A stage that writes a file an image, and goes on where it was interrupted."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import MaskFile, Sample
from wsseg.errors import DamagedError, InputError
from wsseg.files import fingerprint
from wsseg.labelmaps import read_label_map, write_label_map
from wsseg.parallel import Skipped
from wsseg.runs.engine import map_samples
from wsseg.runs.progress import say, track
from wsseg.runs.records import Record, record_results, recorded_ids, rows_by_image
from wsseg.runs.stage import Run, Stage
from wsseg.runs.stats import write_stats

Facts = dict[int, dict[str, Any]]
"""What is worth knowing of each class in an image, such as ``{3: {"resets": 1}}``."""

Labeller = Callable[[Sample], tuple[NDArray[np.uint8], Facts]]
"""Returns the label map (H, W) of a sample and facts for its statistics; picklable."""


def label_images(
    run: Run,
    stage: Stage,
    labeller: Labeller,
    samples: Sequence[Sample],
    before: Mapping[str, str] | None = None,
) -> Stage:
    """Write ``labels/<id>.png`` for every sample and ``stats.parquet`` with a row a class.

    Does nothing where the stage is complete. Images that cannot be used are listed in the
    manifest under "set_aside".

    Args:
        run: The run.
        stage: Its stage.
        labeller: Labels one image; called in worker processes.
        samples: The images.
        before: Images that an earlier stage set aside, and why; they stay set aside.

    Returns:
        The stage, complete.

    Raises:
        InputError: No image could be labelled; or any could not, when the run is strict.
    """
    label = partial(_label, labeller=labeller, folder=stage.path / "labels")
    return map_stage(
        run, stage, label, samples, is_whole=partial(_has_label_map, stage), before=before
    )


Work = Callable[[Sample], tuple[str, list[dict[str, Any]]]]
"""Writes the file of a sample and returns its id and rows of statistics; picklable."""


def map_stage(
    run: Run,
    stage: Stage,
    work: Work,
    samples: Sequence[Sample],
    *,
    is_whole: Callable[[str], bool] | None = None,
    before: Mapping[str, str] | None = None,
    needs_one: bool = True,
) -> Stage:
    """Do some work for every sample, and write ``stats.parquet`` with its rows.

    Does nothing where the stage is complete. Images that cannot be used are listed in the
    manifest under "set_aside".

    Args:
        run: The run.
        stage: Its stage.
        work: Called in worker processes.
        samples: The images.
        is_whole: Says of an image's id whether what an interrupted attempt wrote can be used;
            None where all of it is in the rows.
        before: Images that an earlier stage set aside, and why; they stay set aside.
        needs_one: Whether it is an error that the work failed for every image.

    Returns:
        The stage, complete.

    Raises:
        InputError: The work failed for every image, when ``needs_one``; or for any, when the run
            is strict.
    """
    if stage.is_complete:
        say(f"{stage.name}: up to date")
        return stage
    with stage.work() as record:
        lines, set_aside = stage.path / "stats.jsonl", list[Skipped]()
        done = {id for id in recorded_ids(lines) if is_whole is None or is_whole(id)}
        left = [sample for sample in samples if sample.id not in done]
        careful = partial(_done, work=work, run=run.path)
        results = map_samples(careful, left, run.config)
        shown = track(results, stage.name, len(samples), len(done))
        record_results(lines, _kept_apart(shown, set_aside))
        set_aside.sort(key=lambda bad: bad.id)
        if needs_one and len(set_aside) == len(samples):
            reason = set_aside[0].reason if set_aside else "no image"
            raise InputError(f"stage {stage.name}", "fed usable images", reason, "correct the data")
        write_stats(stage.path, rows_by_image(lines))
        record["images"] = len(samples) - len(set_aside)
        record["set_aside"] = {**(before or {}), **{bad.id: bad.reason for bad in set_aside}}
    lines.unlink(missing_ok=True)
    for bad in set_aside:
        say(f"{stage.name}: set aside {bad.id}: {bad.reason}")
    return stage


def joined(*facts: Mapping[int, Mapping[str, Any]]) -> Facts:
    """Return all that is worth knowing of each class.

    Args:
        facts: Values by name, by class; of one name the last counts.

    Returns:
        One dict a class.
    """
    found: Facts = {}
    for each in facts:
        for label, values in each.items():
            found.setdefault(label, {}).update(values)
    return found


def label_path(stage: Stage, sample: Sample) -> Path:
    """Return where a stage keeps the label map of a sample.

    Args:
        stage: A stage of ``label_images``.
        sample: The image.

    Returns:
        The palette PNG.
    """
    return stage.path / "labels" / f"{sample.id}.png"


def confidence_path(stage: Stage, sample: Sample) -> Path:
    """Return where a stage keeps how sure the network is of a sample's label map, if it does.

    Args:
        stage: A stage of ``label_images``.
        sample: The image.

    Returns:
        The grayscale PNG.
    """
    return stage.path / "confidence" / f"{sample.id}.png"


def scores_path(stage: Stage, identity: str) -> Path:
    """Return where a stage of activation maps keeps those of an image.

    Args:
        stage: A stage of ``map_stage`` whose files are scores.
        identity: The image's id.

    Returns:
        The file.
    """
    return stage.path / "scores" / f"{identity}.npz"


def labelled(stage: Stage, samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that a stage could label.

    Args:
        stage: A complete stage of ``label_images``.
        samples: The images.

    Returns:
        All but those set aside.
    """
    bad = stage.manifest.get("set_aside", {})
    return [sample for sample in samples if sample.id not in bad]


def samples_key(samples: Iterable[Sample]) -> str:
    """Return a hash of samples that changes with their files and annotations.

    Args:
        samples: The images.

    Returns:
        Hexadecimal SHA-256.
    """
    digest = hashlib.sha256()
    for sample in samples:
        masks = [fingerprint(a.path) for a in sample.annotations if isinstance(a, MaskFile)]
        drawn = [a for a in sample.annotations if not isinstance(a, MaskFile)]
        facts = (sample.id, sample.size, fingerprint(sample.image), drawn, masks)
        digest.update(repr(facts).encode())
    return digest.hexdigest()


@contextmanager
def made_by(run: Path) -> Iterator[None]:
    """Tell files that a run made from those it was given.

    Args:
        run: Its folder.

    Yields:
        Nothing.

    Raises:
        DamagedError: In place of an ``InputError`` whose subject is a file of the run.
    """
    try:
        yield
    except InputError as error:
        if Path(error.subject).is_relative_to(run):
            raise DamagedError(error.subject, error.rule, error.got, error.remedy) from error
        raise


def _done(sample: Sample, work: Work, run: Path) -> tuple[str, list[dict[str, Any]]]:
    """The work done; an image is set aside for its own faults, not for those of the run's files."""
    with made_by(run):
        return work(sample)


def _label(sample: Sample, labeller: Labeller, folder: Path) -> tuple[str, list[dict[str, Any]]]:
    label_map, facts = labeller(sample)
    write_label_map(folder / f"{sample.id}.png", label_map)
    labels, counts = np.unique(label_map, return_counts=True)
    pixels = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    return sample.id, [
        {"id": sample.id, "class": label, "pixels": pixels.get(label, 0), **facts.get(label, {})}
        for label in sorted({*pixels, *facts})
    ]


def _has_label_map(stage: Stage, identity: str) -> bool:
    """False too where a power cut left an empty file."""
    try:
        read_label_map(stage.path / "labels" / f"{identity}.png")
    except InputError:
        return False
    return True


def _kept_apart(results: Iterable[Any], set_aside: list[Skipped]) -> Iterator[Record]:
    for result in results:
        if isinstance(result, Skipped):
            set_aside.append(result)
        else:
            yield result
