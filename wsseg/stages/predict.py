"""Prediction of image files: palette PNGs, overlays, and annotations for a labelling tool."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsseg.data.model import Sample
from wsseg.data.writers.regions import LabelledImage
from wsseg.errors import InputError
from wsseg.files import atomic_write
from wsseg.image_kinds import unread_files, visible_files
from wsseg.images import SUFFIXES, image_files, read_image
from wsseg.labelmaps import overlay, write_label_map
from wsseg.networks.params import PredictionParams
from wsseg.networks.prediction import Segmenter, load_segmenter
from wsseg.runs.folder import folder_lock
from wsseg.runs.progress import log, track
from wsseg.runs.run import Run
from wsseg.stages.export import WRITERS
from wsseg.stages.georeference import copy_georeference

_SPLIT = "predicted"


@dataclass(frozen=True)
class _File:
    """An image file, the folder to which its name is relative, and the name of its results."""

    path: Path
    root: Path
    name: str = ""

    @property
    def stem(self) -> str:
        """The path below the folder without suffix."""
        return self.path.relative_to(self.root).with_suffix("").as_posix()


def predict_files(
    run: Path, images: Sequence[Path], out: Path, strict: bool = False, to: str | None = None
) -> int:
    """Segment images and write ``out/labels/<name>.png`` and ``out/overlays/<name>.jpg``.

    The first is a palette PNG whose pixels are class numbers, of the size of the image, with a
    world file if the image has a georeference; the second is the image with the colours of the
    classes on top.

    Args:
        run: A run's folder (its last network, or that of its best round), or a ``model.ckpt``.
        images: Image files, or folders that are searched recursively. <name> is the file name
            without suffix; for an image in a folder it is the path below that folder. Images of
            one name get distinct ones, such as "a_jpg" and "a_png".
        out: The folder to write to; it is created.
        strict: Raise an error at the first image that cannot be read or segmented, instead of
            skipping it.
        to: A key of ``WRITERS``: the label maps are also written in this format, in ``out/<to>``,
            for the images where they are, which are not copied.

    Returns:
        The number of images skipped.

    Raises:
        InputError: There is no trained network, a path or a readable image is missing, the format
            is unknown, an image cannot be used and ``strict`` is set, or another process predicts
            into the folder.
    """
    if to is not None and to not in WRITERS:
        raise InputError("--to", f"one of {', '.join(WRITERS)}", to, "choose one of them")
    segmenter, prediction = load_segmenter(checkpoint_of(run)), prediction_of(run)
    files, skipped = _find_files(images), list[str]()
    with folder_lock(out, f"--out {out}"):
        tracked = track(files, "predict", len(files))
        labelled = _predictions(tracked, segmenter, prediction, out, strict=strict, skipped=skipped)
        if to is None:
            written = sum(1 for _ in labelled)
        else:
            WRITERS[to][0](out / to, segmenter.classes, labelled, _SPLIT)
            written = len(files) - len(skipped)
    for line in skipped:
        log(line)
    log(f"{written} images are in {out}" + (f", {len(skipped)} were skipped" if skipped else ""))
    return len(skipped)


def _predictions(
    files: Iterable[_File],
    segmenter: Segmenter,
    prediction: PredictionParams,
    out: Path,
    *,
    strict: bool,
    skipped: list[str],
) -> Iterator[LabelledImage]:
    """Yield the images with their label maps, once their files are written."""
    is_empty = True
    for file in files:
        try:
            image = read_image(file.path, segmenter.reading)
            sample = Sample(file.stem, file.path, (image.shape[0], image.shape[1]), (), _SPLIT)
            label_map = segmenter.predict(image, prediction).argmax(axis=0).astype(np.uint8)
            _write(image, label_map, file, out)
        except InputError as error:
            if strict:
                raise
            skipped.append(f"skipped {file.path}: {error}")
            continue
        is_empty = False
        yield LabelledImage(sample, label_map)
    if is_empty:
        got = f"none ({skipped[0]})"
        raise InputError("IMAGES", "at least one readable image", got, "correct the paths")


def _write(image: NDArray[np.uint8], label_map: NDArray[np.uint8], file: _File, out: Path) -> None:
    path = out / "labels" / f"{file.name}.png"
    write_label_map(path, label_map)
    copy_georeference(file.path, path)
    with atomic_write(out / "overlays" / f"{file.name}.jpg") as overlaid:
        Image.fromarray(overlay(image, label_map)).save(overlaid, "jpeg", quality=90)


def checkpoint_of(run: Path) -> Path:
    """Return the ``model.ckpt`` of a run's last trained network, or that of its best round.

    Args:
        run: A run's folder, or a ``model.ckpt``, which is returned as it is.

    Raises:
        InputError: There is no run, or it has no trained network.
    """
    return run if run.is_file() else Run(run).last_model().path / "model.ckpt"


def prediction_of(run: Path) -> PredictionParams:
    """Return the settings ``prediction`` of a run; the defaults for a ``model.ckpt``."""
    return PredictionParams() if run.is_file() else Run(run).config.prediction


def _find_files(images: Sequence[Path]) -> list[_File]:
    """Return the image files to predict, each once, and report other images in folders."""
    by_stem: dict[str, list[_File]] = defaultdict(list)
    for file in (file for entry in images for file in _files(entry)):
        group = by_stem[file.stem.lower()]  # one file where case does not count
        if not any(file.path.samefile(other.path) for other in group):
            group.append(file)
    others = _unread(images)
    for line in others:
        log(f"skipped: {line}")
    if not by_stem:
        rule = f"files or folders with {', '.join(SUFFIXES)}"
        got = "no image" + "".join(f"; {line}" for line in others)
        raise InputError("IMAGES", rule, got, "check the paths")
    return _with_names(by_stem.values())


def _with_names(groups: Iterable[Sequence[_File]]) -> list[_File]:
    named: dict[str, _File] = {}
    for group in sorted(groups, key=len):  # names that are unique already stay
        for file in group:
            suffix = file.path.suffix.removeprefix(".").lower()
            inside = f"{file.stem}_{suffix}"
            choices = [file.stem] if len(group) == 1 else [inside, f"{file.root.name}/{inside}"]
            choices += (f"{inside}_{number}" for number in range(2, len(group) + 2))
            name = next(name for name in choices if name.lower() not in named)
            named[name.lower()] = _File(file.path, file.root, name)
            if name != file.stem:
                log(f"{file.path} has a name like another image: its results are {name}")
    return list(named.values())


def _unread(images: Sequence[Path]) -> list[str]:
    """Return sentences about the files in folders that show images but cannot be read."""
    folders = [path for path in images if path.is_dir()]
    return [str(unread) for f in folders for unread in unread_files(visible_files(f))]


def _files(path: Path) -> Iterator[_File]:
    """Yield the image files of a path."""
    if path.is_file():
        yield _File(path, path.parent)
        return
    if not path.is_dir():
        raise InputError(f"image {path}", "a file or a folder", "no such file", "check the path")
    yield from (_File(file, path) for file in image_files(path))
