"""A run's label maps back out to annotation tools, where a person corrects them."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wsseg.data.constraints import label_map_of
from wsseg.data.formats.files import safe_name
from wsseg.data.load import read_weak
from wsseg.data.model import Classes, MaskFile, Sample
from wsseg.data.writers.coco import write_coco
from wsseg.data.writers.cvat import write_cvat
from wsseg.data.writers.estimates import (
    Estimates,
    estimates_in,
    worst_first,
    write_quality,
)
from wsseg.data.writers.fiftyone import write_fiftyone
from wsseg.data.writers.regions import LabelledImages
from wsseg.data.writers.voc import write_voc
from wsseg.errors import InputError
from wsseg.runs.config import Config
from wsseg.runs.engine import report_problems
from wsseg.runs.progress import log, track
from wsseg.runs.run import Run
from wsseg.runs.stage import finished_stage

Images = Literal["copy", "link", "none"]
"""What an export does with the photographs: copies them, links them (hard links), or neither."""

Writer = Callable[[Path, Classes, LabelledImages, str, Estimates], None]
"""Folder, classes, images with label maps, split, estimates of the labels."""

ReadSignals = Callable[[Path], pd.DataFrame | None]
"""Folder of a stage -> "id", "class" and "estimate" of each class in each image, or None."""


def _unrated(write: Callable[[Path, Classes, LabelledImages, str], None]) -> Writer:
    """A format without a place for estimates."""
    return lambda folder, classes, labelled, split, _: write(folder, classes, labelled, split)


WRITERS: dict[str, tuple[Writer, str]] = {
    "voc": (_unrated(write_voc), "JPEGImages"),
    "coco": (write_coco, "images/{split}"),
    "cvat": (_unrated(write_cvat), "images"),
    "fiftyone": (write_fiftyone, "images"),
}
"""Formats by name: what writes them, and where their readers look for images."""

_SHOWN = 5  # images left out, printed at the end


def export_labels(
    run: Path,
    out: Path,
    to: str,
    *,
    stage: str | None = None,
    split: str | None = None,
    images: str = "copy",
    worst: int | None = None,
    read_signals: ReadSignals = lambda _: None,
) -> int:
    """Write the label maps of a run's stage as a data set of another format.

    The folder appears complete or not at all. Images that the stage set aside, and those whose
    label map cannot be used, are left out and told. Where the stage was inspected, the images stand
    worst first by the mean estimate of their classes, and in ``quality.csv`` too; those without an
    estimate come last.

    Args:
        run: The run's folder; its data set must still be where it was.
        out: A new or empty folder. One with files is refused: they may be someone's corrections.
        to: A key of ``WRITERS``.
        stage: Such as "round-2" or "round-2/val"; None is the last complete one of the split.
        split: Such as "train"; None is the one that the stage labels.
        images: "copy", "link" (hard links, on one file system), or "none" for a tool that has the
            photographs already. Only a folder with images is a data set that wsseg reads.
        worst: How many images to write, the worst; None writes all.
        read_signals: What reads the estimates of a stage: ``wsseg.stages.signals``'s.

    Returns:
        The number of images written.

    Raises:
        InputError: There is no such run, stage, split or format, the stage is not complete, the
            folder is not empty, no image could be written, or ``worst`` is below 1 or of a stage
            without estimates.
    """
    write, place = _writer(to)
    check_images(images)
    config = Run(run).config
    split = split or _split_of(stage, config)
    stage = _complete(run, stage, split, config)
    dataset = read_weak(config.data)
    report_problems([problem for problem in dataset.problems if problem.fatal], strict=False)
    estimates = _estimates(run, stage, read_signals)
    _check_worst(worst, stage, estimates)
    samples = worst_first(dataset.split(_file_name(split)), estimates)
    left_out = dict[str, str]()
    with appearing(out) as folder:
        found = _label_maps(run, stage, samples, len(dataset.classes), left_out)
        shown = track(islice(found, worst), "export", len(samples[:worst]))
        labelled = _with_images(shown, folder / place.format(split=split), images)
        write(folder, dataset.classes, labelled, split, estimates)
        _tell(left_out, samples, stage)
        written = [sample for sample in samples if sample.id not in left_out][:worst]
        if estimates:
            write_quality(folder / "quality.csv", dataset.classes, written, estimates)
    log(f"{len(written)} images of stage {stage} are in {out}")
    return len(written)


def check_images(images: str) -> None:
    """Refuse an unknown way to treat photographs.

    Args:
        images: One of ``Images``.

    Raises:
        InputError: It is none of them.
    """
    if images not in get_args(Images):
        raise InputError("--images", ", ".join(get_args(Images)), repr(images), "choose one")


def _writer(to: str) -> tuple[Writer, str]:
    if to not in WRITERS:
        raise InputError("--to", f"one of {', '.join(WRITERS)}", repr(to), "choose one of them")
    return WRITERS[to]


def _file_name(split: str) -> str:
    """A split's name, where it can be part of a file's name; JSON Lines may hold any."""
    if len(safe_name(split).parts) > 1:
        raise InputError("split", "a name without '/'", repr(split), "rename it")
    return split


def _split_of(stage: str | None, config: Config) -> str:
    """The split that a stage of the shipped pipelines labels."""
    held_out = stage is not None and stage.endswith("/val") and config.data.val
    return held_out or config.data.train


def _complete(run: Path, stage: str | None, split: str, config: Config) -> str:
    """Return the name of a complete stage with label maps: the given one, else the last."""
    known = _stages_with_labels(run)
    if stage is None:
        ends = "/val" if split == config.data.val else ""
        wanted = [f"{name}{ends}" for name in Run(run, config).preferred_stages()]
        stage = next((n for n in wanted if n in known and finished_stage(run, n)), None)
        if stage is None:
            got = f"{', '.join(known) or 'no stage'} with label maps"
            rule = f"a run with a complete stage of the split {split!r}"
            raise InputError(f"run {run}", rule, got, "run it to its end, or name a --stage")
    if stage not in known:
        remedy = f"known: {', '.join(known) or 'none'}"
        raise InputError(f"--stage {stage}", f"a stage of {run} with label maps", "none", remedy)
    if not finished_stage(run, stage):
        rule, got = "complete and newer than the stages it is made from", "an unfinished or old one"
        raise InputError(f"--stage {stage}", rule, got, "run the pipeline to its end")
    return stage


def _stages_with_labels(run: Path) -> list[str]:
    folders = (path.parent for depth in ("*", "*/*") for path in run.glob(f"{depth}/labels"))
    return sorted(path.relative_to(run).as_posix() for path in folders)


def _estimates(run: Path, stage: str, read_signals: ReadSignals) -> Estimates:
    """Return the estimates of a stage's labels, none where they are of older labels."""
    signals = read_signals(run / stage) if finished_stage(run, f"{stage}/signals") else None
    return {} if signals is None else estimates_in(signals)


def _check_worst(worst: int | None, stage: str, estimates: Estimates) -> None:
    if worst is not None and worst < 1:
        raise InputError("--worst", "at least 1", worst, "leave it out to export all images")
    if worst is not None and not estimates:
        rule, got = "of a stage whose labels were inspected", f"stage {stage} without estimates"
        raise InputError(f"--worst {worst}", rule, got, "leave it out or choose another --stage")


def _label_maps(
    run: Path, stage: str, samples: Sequence[Sample], n_classes: int, left_out: dict[str, str]
) -> Iterator[tuple[Sample, NDArray[np.uint8]]]:
    """Yield what can be exported, one image at a time, and note why the rest cannot."""
    labels = finished_stage(run, stage)
    set_aside = labels.skipped if labels else {}
    for sample in samples:
        if sample.id in set_aside:
            left_out[sample.id] = set_aside[sample.id]
            continue
        mask = MaskFile(run / stage / "labels" / f"{sample.id}.png")
        try:
            safe_name(f"{sample.id}{sample.image.suffix}")
            label_map = label_map_of(mask, sample.size, n_classes)
        except InputError as error:
            left_out[sample.id] = str(error)
            continue
        yield sample, label_map


def _with_images(labelled: LabelledImages, folder: Path, images: str) -> LabelledImages:
    """Yield images and label maps, and put each image into a folder."""
    for sample, label_map in labelled:
        if images != "none":
            put_image(sample.image, folder / f"{sample.id}{sample.image.suffix}", images)
        yield sample, label_map


def put_image(image: Path, target: Path, images: str) -> None:
    """Copy or link an image.

    Args:
        image: The file.
        target: Where it goes; its folder is created.
        images: "copy" or "link".

    Raises:
        InputError: It cannot be linked.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if images == "copy":
        shutil.copyfile(image, target)
        return
    try:
        target.hardlink_to(image.resolve())  # readers refuse symbolic links out of their folder
    except OSError as error:
        rule, remedy = "possible for every image", "use --images copy"
        raise InputError("--images link", rule, f"{image}: {error.strerror}", remedy) from error


def _tell(left_out: dict[str, str], samples: Sequence[Sample], stage: str) -> None:
    for id, reason in list(left_out.items())[:_SHOWN]:
        log(f"left out {id}: {reason}")
    if len(left_out) > _SHOWN:
        log(f"and {len(left_out) - _SHOWN} more")
    if len(left_out) == len(samples):
        rule = f"of at least one of the {len(samples)} images of split {samples[0].split!r}"
        raise InputError(f"label maps of stage {stage}", rule, "none", "choose another --stage")


def check_new(out: Path) -> None:
    """Refuse a folder that an export would write into or replace.

    Args:
        out: The folder.

    Raises:
        InputError: It is a file, or holds files.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        got = "one with files" if out.is_dir() else "a file"
        remedy = "they may be someone's corrections; choose another folder"
        raise InputError(f"OUT {out}", "a new or empty folder", got, remedy)


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Yield a folder that becomes ``out`` once everything is in it.

    Args:
        out: A new or empty folder.

    Yields:
        A folder beside it.

    Raises:
        InputError: ``out`` is a file, or holds files.
    """
    out = out.resolve()
    check_new(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as work:
        folder = Path(work) / "export"
        folder.mkdir()
        yield folder
        check_new(out)  # again: another export may have been faster
        if out.exists():
            out.rmdir()
        folder.rename(out)
