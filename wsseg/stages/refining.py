"""Refinement of label maps that were made elsewhere, without a run."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wsseg
from wsseg.data.example import example_of
from wsseg.data.load import read_weak
from wsseg.data.model import Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.files import fingerprint, read_record, write_json
from wsseg.foundation.load import check_installed
from wsseg.foundation.params import SamParams
from wsseg.foundation.weights import fetch_weights
from wsseg.image_kinds import visible_files
from wsseg.images import image_files, read_image
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map, zero_255_confusion
from wsseg.parallel import Batches, keep_results, map_in_threads, map_locally
from wsseg.refine.refiners import Refine, find_refiner
from wsseg.runs.folder import exclusive_folder
from wsseg.runs.labelling import samples_key
from wsseg.runs.progress import log, track
from wsseg.stages.foundation import SAM, encoding_batches

_RECORD = "refined.json"
_CONFIDENCE = 0.9  # probability of a label before it is refined; the other classes share the rest
_SHOWN = 5  # skipped images that are reported one by one


@dataclass(frozen=True)
class _Item:
    """A label map, its image, and perhaps the annotations of the image."""

    id: str
    labels: Path
    image: Path
    sample: Sample | None
    n_classes: int


def refine_labels(
    labels: Path,
    images: Path,
    out: Path,
    *,
    name: str,
    params: SamParams = SamParams(),
    dataset: Path | None = None,
) -> int:
    """Write ``out/<name>.png`` for every label map ``labels/<name>.png``.

    A label counts for nine tenths before it is refined, and pixels of 255 stay so. The classes that
    occur in a label map, and the background, compete for its pixels. Finished files of an
    interrupted call with the same arguments are kept.

    Args:
        labels: Folder of palette or grayscale PNGs whose pixels are class numbers; subfolders are
            part of the name.
        images: Folder of the images of the same names.
        name: A refiner, such as "sam" or "crf".
        params: The model of "sam", which is downloaded if it is not on this machine.
        dataset: A data set that ``wsseg check`` reads: its annotations of an image of the same id,
            such as boxes, decide where each class may be.

    Returns:
        The number of label maps that were skipped.

    Raises:
        InputError: A folder or the model is missing, no label map has an image or none can be
            refined, no annotation of ``dataset`` belongs to an image, or ``out`` holds something
            else or lies in a folder of the input.
        MachineError: transformers is not installed, or the memory of the GPU does not suffice.
    """
    _check_arguments(labels, images, out, name, params)
    record: dict[str, Any] = {
        "version": wsseg.__version__,
        "labels": str(labels.absolute()),
        "images": str(images.absolute()),
        "dataset": dataset and str(dataset.absolute()),
        "refiner": name,
    }
    if name == SAM:
        check_installed("--with sam")
        record["weights"] = fetch_weights(params.model, "SAM", "--model").record()
    refiner = find_refiner(name, sam=params, setting="--with")
    items = _items(labels, images, dataset)
    record["files"] = _hash_of(items)
    with exclusive_folder(out, "OUT", _RECORD, "a folder of refined label maps"):
        if (out / _RECORD).exists() and read_record(out / _RECORD) != record:
            raise InputError(
                f"{out} holds label maps that were refined from other files or in another way",
                hint="choose a new folder",
            )
        write_json(out / _RECORD, record)
        refiner.prepare()
        batches = encoding_batches(params, "auto", _image_of) if name == SAM else None
        return _refine_all(items, out, refiner.refine, batches)


def _check_arguments(labels: Path, images: Path, out: Path, name: str, params: SamParams) -> None:
    """Raise an InputError if results would become input, or if options of "sam" have no effect."""
    for given in (labels, images):
        if out.absolute() != given.absolute() and out.absolute().is_relative_to(given.absolute()):
            hint = "choose a folder beside it: results would become input of the next call"
            raise InputError(f"OUT {out} lies in {given}", hint=hint)
    if name != SAM and params != SamParams():
        raise InputError("--model, --batch-size and --cache need --with sam", hint="add or omit it")


def _hash_of(items: Sequence[_Item]) -> str:
    """Return a hexadecimal SHA-256 that changes with label maps, images and annotations."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr((item.id, fingerprint(item.labels), fingerprint(item.image))).encode())
    digest.update(samples_key(item.sample for item in items if item.sample).encode())
    return digest.hexdigest()


def _image_of(item: _Item) -> NDArray[np.uint8]:
    return read_image(item.image)


def _refine_all(
    items: Sequence[_Item], out: Path, refine: Refine, batches: Batches[_Item] | None
) -> int:
    remaining = [item for item in items if not (out / f"{item.id}.png").exists()]
    skipped: dict[str, str] = {}
    work = partial(_refine, out=out, refine=refine)
    if batches:
        results = map_in_threads(work, remaining, batches, None, strict=False)
    else:
        results = map_locally(work, remaining, None, strict=False)
    tracked = track(results, "refine", len(items), len(items) - len(remaining))
    changed = list(keep_results(tracked, skipped))
    for identity, reason in list(skipped.items())[:_SHOWN]:
        log(f"skipped {identity}: {reason}")
    if changed:
        log(f"{100 * np.mean(changed):.1f} % of the pixels have another label")
    if len(skipped) == len(items):
        fault, _, remedy = next(iter(skipped.values())).rpartition("; ")
        raise InputError(f"No label map could be refined: {fault}", hint=remedy)
    log(f"{len(items) - len(skipped)} label maps are in {out}, {len(skipped)} were skipped")
    return len(skipped)


def _refine(item: _Item, out: Path, refine: Refine) -> float:
    """Write the refined label map of an image, and return the share of its pixels that changed."""
    before, image = read_label_map(item.labels), read_image(item.image)
    if before.shape != image.shape[:2]:
        rule = f"of the size of its image {item.image}, {image.shape[:2]}"
        raise InputError(item.labels, rule, before.shape, "make it at full size")
    if (before != IGNORE).any() and (confusion := zero_255_confusion(before)):
        fault, _, remedy = confusion.rpartition("; ")
        raise InputError(f"{item.labels}: {fault}", hint=remedy)
    classes, allowed = _possible(item, before, image)
    scores = _scores(before, classes)
    refined = refine(image, scores, allowed=allowed)
    best = classes[np.where(allowed, refined, -1).argmax(axis=0)]
    after = np.where(before == IGNORE, IGNORE, best).astype(np.uint8)
    write_label_map(out / f"{item.id}.png", after)
    return float((after != before).mean())


def _possible(
    item: _Item, label_map: NDArray[np.uint8], image: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the classes (C,) that compete, and where each may be, (C, H, W)."""
    if item.sample is not None:
        constraints = example_of(item.sample, item.n_classes, image).constraints
        return constraints.classes, constraints.allowed
    classes = np.array(sorted({0, *np.unique(label_map).tolist()} - {IGNORE}), np.uint8)
    return classes, np.ones((len(classes), *label_map.shape), bool)


def _scores(label_map: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return probabilities (C, H, W): equal ones where a pixel has none of the classes."""
    if len(classes) == 1:
        return np.ones((1, *label_map.shape), np.float32)
    rest = (1 - _CONFIDENCE) / (len(classes) - 1)
    is_class = label_map == classes[:, None, None]
    scores = np.where(is_class, _CONFIDENCE, rest)
    return np.where(is_class.any(axis=0), scores, 1 / len(classes)).astype(np.float32)


def _items(labels: Path, images: Path, dataset: Path | None) -> list[_Item]:
    """Return the label maps that have an image, and report those that have none."""
    for name, folder in (("LABELS", labels), ("--images", images)):
        if not folder.is_dir():
            raise InputError(f"{name} {folder} is no folder", hint="check the path")
    maps = {path for path in visible_files(labels) if path.suffix.lower() == ".png"}
    others = (path for path in image_files(images) if path not in maps)
    found = {_name(path, images): path for path in others}
    samples, n_classes = _samples(dataset)
    items = [
        _Item(name, path, found[name], samples.get(name), n_classes)
        for path in sorted(maps)
        if (name := _name(path, labels)) in found
    ]
    if not items:
        got = f"{len(maps)} PNG files, none with an image of its name in {images}"
        rule = "a folder of label maps with the names of images"
        raise InputError(f"LABELS {labels}", rule, got, "name the right folders")
    if dataset is not None:
        known = sum(item.sample is not None for item in items)
        log(f"--dataset {dataset} has annotations of {known} of {len(items)} images")
        if not known:
            hint = "name the data set of these images: ids are their names without suffix"
            raise InputError(f"--dataset {dataset} has none of the images", hint=hint)
    if missing := len(maps) - len(items):
        log(f"{missing} label maps have no image in {images} and are left out")
    return items


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _samples(dataset: Path | None) -> tuple[Mapping[str, Sample], int]:
    if dataset is None:
        return {}, 0
    read = read_weak(DataParams(root=dataset))
    return {sample.id: sample for sample in read.samples}, len(read.classes)
