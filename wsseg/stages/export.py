"""Export the label maps of a run to annotation tools, where a person corrects them."""

import csv
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from wsseg.data.annotation import MaskFile
from wsseg.data.constraints import label_map_of
from wsseg.data.formats.paths import safe_name
from wsseg.data.load import read_weak
from wsseg.data.model import Classes, Sample
from wsseg.data.writers.coco import write_coco
from wsseg.data.writers.coco_ids import read_coco_ids
from wsseg.data.writers.cvat import write_cvat
from wsseg.data.writers.fiftyone import write_fiftyone
from wsseg.data.writers.labelme import write_labelme
from wsseg.data.writers.labelstudio import write_labelstudio
from wsseg.data.writers.regions import DIGITS, LabelledImage, mean_estimate
from wsseg.data.writers.voc import write_voc
from wsseg.data.writers.yolo import write_yolo
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.runs.config import Config
from wsseg.runs.engine import report_problems
from wsseg.runs.progress import log, track
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage, finished_stage
from wsseg.stages.params import ExportParams
from wsseg.stages.signals import read_signals

Writer = Callable[[Path, Classes, Iterable[LabelledImage], str], None]
"""Arguments: folder, classes, images with label maps, split."""

WRITERS: dict[str, tuple[Writer, str]] = {
    "voc": (write_voc, "JPEGImages"),
    "coco": (write_coco, "images/{split}"),
    "cvat": (write_cvat, "images"),
    "fiftyone": (write_fiftyone, "images"),
    "labelstudio": (write_labelstudio, "images"),
    "labelme": (write_labelme, "{split}"),
    "yolo": (write_yolo, "images/{split}"),
}
"""Formats by name: the writer, and the folder where readers expect the images."""

Estimates = dict[str, dict[int, float]]
"""Estimated IoU of the labels by image id and class, as far as it is known."""

_SHOWN = 5  # skipped images that are reported one by one


def export_labels(run: Path, out: Path, params: ExportParams) -> int:
    """Write the label maps of a stage as a data set of another format.

    The folder is created complete or not at all. Images that the stage skipped, and images whose
    label map cannot be read, are skipped and reported. If the stage has signals, the images are
    ordered by the mean estimate of their classes, the worst first, and listed in ``quality.csv``;
    images without an estimate come last.

    Args:
        run: Folder of a run whose data set has not been moved.
        out: A new or empty folder. A folder with files is refused: they may be corrections.

    Returns:
        The number of exported images.

    Raises:
        InputError: The run, stage or split does not exist, the stage is not complete, the folder is
            not empty, no image can be exported, or ``worst`` is set for a stage without estimates.
    """
    write, place = WRITERS[params.to]
    config = Run(run).config
    split = params.split or _split_of(params.stage, config)
    stage = _complete_stage(run, params.stage, split, config)
    dataset = read_weak(config.data)
    report_problems([problem for problem in dataset.problems if problem.fatal], strict=False)
    estimates = _estimates(run, stage)
    if params.worst is not None and not estimates:
        hint = "leave --worst out or choose another --stage"
        raise InputError(f"--worst: stage {stage.name} has no estimates of quality", hint=hint)
    if len(safe_name(split).parts) > 1:  # it becomes a part of file names; JSON Lines allow any
        raise InputError("split", "a name without '/'", repr(split), "rename it")
    if params.to == dataset.format == "coco":
        known = read_coco_ids(config.data.root, split, dataset.split(split), dataset.classes)
        write = partial(write_coco, known=known)
    samples = sorted(dataset.split(split), key=lambda sample: _rank(estimates.get(sample.id, {})))
    skipped = {s.id: stage.skipped[s.id] for s in samples if s.id in stage.skipped}
    with new_folder(out) as folder:
        readable = _label_maps(stage, samples, len(dataset.classes), estimates, skipped)
        images = track(islice(readable, params.worst), "export", len(samples[: params.worst]))
        placed = _place_images(images, folder / place.format(split=split), params.images)
        if params.to == "yolo":
            placed = _note_unknown_pixels(placed)
        write(folder, dataset.classes, placed, split)
        _report_skipped(skipped, samples, stage.name)
        written = [sample for sample in samples if sample.id not in skipped][: params.worst]
        if estimates:
            write_quality(folder / "quality.csv", dataset.classes, written, estimates)
    log(f"{len(written)} images of stage {stage.name} are in {out}")
    return len(written)


def _note_unknown_pixels(images: Iterable[LabelledImage]) -> Iterator[LabelledImage]:
    """Yield images, and report those whose IGNORE becomes background in YOLO."""
    count = 0
    for image in images:
        count += bool((image.label_map == IGNORE).any())
        yield image
    if count:
        log(f"warning: YOLO has no unknown pixels: those of {count} images become background")


def _split_of(stage: str | None, config: Config) -> str:
    """Return the split that a stage of the shipped pipelines labels."""
    is_val = stage is not None and stage.endswith("/val") and config.data.val
    return is_val or config.data.train


def _complete_stage(run: Path, name: str | None, split: str, config: Config) -> Stage:
    """Return a complete stage with label maps: the named one, else the last one of the split."""
    folders = (path.parent for depth in ("*", "*/*") for path in run.glob(f"{depth}/labels"))
    known = sorted(path.relative_to(run).as_posix() for path in folders)
    if name is None:
        suffix = "/val" if split == config.data.val else ""
        for preferred in Run(run, config).preferred_stages():
            stage = finished_stage(run, preferred + suffix)
            if stage and stage.name in known:
                return stage
        message = f"Run {run} has no complete stage with label maps of the split {split!r}"
        raise InputError(message, hint="run it to its end, or name a --stage")
    if name not in known:
        hint = f"stages with label maps: {', '.join(known) or 'none'}"
        raise InputError(f"--stage {name}: {run} has no label maps of this stage", hint=hint)
    if stage := finished_stage(run, name):
        return stage
    message = f"--stage {name} must be complete and newer than the stages it is made from"
    raise InputError(message, hint="run the pipeline to its end")


def _estimates(run: Path, stage: Stage) -> Estimates:
    """Return the estimates of the labels of a stage; none if they belong to older labels."""
    is_fresh = finished_stage(run, f"{stage.name}/signals")
    table = read_signals(stage.path) if is_fresh else None
    estimates: Estimates = {}
    if table is not None:
        for row in table.dropna(subset="estimate").to_dict("records"):
            estimates.setdefault(row["id"], {})[row["class"]] = row["estimate"]
    return estimates


def _rank(estimates: dict[int, float]) -> float:
    quality = mean_estimate(estimates)
    return math.inf if quality is None else quality


def _label_maps(
    stage: Stage,
    samples: Sequence[Sample],
    n_classes: int,
    estimates: Estimates,
    skipped: dict[str, str],
) -> Iterator[LabelledImage]:
    """Yield the images that can be exported one by one, and note why others are skipped."""
    for sample in samples:
        if sample.id in skipped:
            continue
        try:
            safe_name(f"{sample.id}{sample.image.suffix}")
            mask = MaskFile(stage.path / "labels" / f"{sample.id}.png")
            label_map = label_map_of(mask, sample.size, n_classes)
        except InputError as error:
            skipped[sample.id] = str(error)
            continue
        yield LabelledImage(sample, label_map, estimates.get(sample.id, {}))


def _place_images(
    images: Iterable[LabelledImage], folder: Path, mode: str
) -> Iterator[LabelledImage]:
    for image in images:
        if mode != "none":
            put_image(image.sample.image, folder / image.file_name, mode)
        yield image


def write_quality(
    path: Path, classes: Classes, samples: Iterable[Sample], estimates: Estimates
) -> None:
    """Write a CSV file with one row per image.

    Its columns are rank (from 1), image (the id), quality, worst_class (a name) and the estimate of
    that class; the last three are empty if there is no estimate.

    Args:
        samples: The worst image first.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["rank", "image", "quality", "worst_class", "estimate"])
        for rank, sample in enumerate(samples, 1):
            known = estimates.get(sample.id, {})
            worst: tuple[object, ...] = ("", "", "")
            if known:
                label = min(known, key=known.__getitem__)
                worst = (mean_estimate(known), classes.names[label], round(known[label], DIGITS))
            rows.writerow([rank, sample.id, *worst])


def _report_skipped(skipped: dict[str, str], samples: Sequence[Sample], stage: str) -> None:
    for id, reason in list(skipped.items())[:_SHOWN]:
        log(f"skipped {id}: {reason}")
    if len(skipped) > _SHOWN:
        log(f"and {len(skipped) - _SHOWN} more")
    if len(skipped) == len(samples):
        message = f"Stage {stage} has no label map of the {len(samples)} images of the split"
        raise InputError(f"{message} {samples[0].split!r}", hint="choose another --stage")


def put_image(image: Path, target: Path, mode: str) -> None:
    """Copy or link an image to a path whose folder is created.

    Args:
        mode: "copy" or "link".

    Raises:
        InputError: The file system cannot link it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if mode == "copy":
        shutil.copyfile(image, target)
        return
    try:
        target.hardlink_to(image.resolve())  # readers refuse symbolic links out of their folder
    except OSError as error:
        message = f"--images link: {image} cannot be linked: {error.strerror}"
        raise InputError(message, hint="use --images copy") from error


def check_new(out: Path) -> None:
    """Raise an ``InputError`` if a folder is neither new nor empty."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        got = "one with files" if out.is_dir() else "a file"
        remedy = "they may be someone's corrections; choose another folder"
        raise InputError(f"OUT {out}", "a new or empty folder", got, remedy)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``out`` when the block ends without an error.

    Args:
        out: A new or empty folder.

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
