"""Prediction of image files: palette PNGs and overlays."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

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


def predict_files(run: Path, images: Sequence[Path], out: Path, strict: bool = False) -> int:
    """Segment images and write ``out/labels/<name>.png`` and ``out/overlays/<name>.jpg``.

    The first is a palette PNG whose pixels are class numbers, of the size of the image; the second
    is the image with the colours of the classes on top.

    Args:
        run: A run's folder (its last network, or that of its best round), or a ``model.ckpt``.
        images: Image files, or folders that are searched recursively. <name> is the file name
            without suffix; for an image in a folder it is the path below that folder.
        out: The folder to write to; it is created.
        strict: Raise an error at the first image that cannot be read or segmented, instead of
            skipping it.

    Returns:
        The number of images skipped.

    Raises:
        InputError: There is no trained network, a path or a readable image is missing, two images
            have the same <name>, an image cannot be used and ``strict`` is set, or another process
            predicts into the folder.
    """
    segmenter, prediction = load_segmenter(checkpoint_of(run)), prediction_of(run)
    names = _output_names(images)
    skipped = []
    with folder_lock(out, f"--out {out}"):
        for name, path in track(names.items(), "predict", len(names)):
            try:
                _predict_file(segmenter, prediction, path, out, name)
            except InputError as error:
                if strict:
                    raise
                skipped.append(f"skipped {path}: {error}")
    for line in skipped:
        log(line)
    if len(skipped) == len(names):
        raise InputError("IMAGES", "at least one readable image", "none", "correct the paths")
    return len(skipped)


def _predict_file(
    segmenter: Segmenter, prediction: PredictionParams, path: Path, out: Path, name: str
) -> None:
    image = read_image(path, segmenter.reading)
    label_map = segmenter.predict(image, prediction).argmax(axis=0).astype("uint8")
    write_label_map(out / "labels" / f"{name}.png", label_map)
    with atomic_write(out / "overlays" / f"{name}.jpg") as file:
        Image.fromarray(overlay(image, label_map)).save(file, "jpeg", quality=90)


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


def _output_names(images: Sequence[Path]) -> dict[str, Path]:
    names: dict[str, Path] = {}
    for entry in images:
        for path, root in _files(entry):
            name = path.relative_to(root).with_suffix("").as_posix()
            if name in names and not names[name].samefile(path):
                got = f"{names[name]} and {path}"
                raise InputError("image names", "distinct", got, "predict them to two folders")
            names[name] = path
    others = _unread(images)
    for line in others:
        log(f"skipped: {line}")
    if not names:
        rule = f"files or folders with {', '.join(SUFFIXES)}"
        got = "no image" + "".join(f"; {line}" for line in others)
        raise InputError("IMAGES", rule, got, "check the paths")
    return names


def _unread(images: Sequence[Path]) -> list[str]:
    """Return sentences about the files in folders that show images but cannot be read."""
    folders = [path for path in images if path.is_dir()]
    return [str(unread) for f in folders for unread in unread_files(visible_files(f))]


def _files(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield image files and the folder to which their names are relative."""
    if path.is_file():
        yield path, path.parent
        return
    if not path.is_dir():
        raise InputError(f"image {path}", "a file or a folder", "no such file", "check the path")
    yield from ((file, path) for file in image_files(path))
