"""A trained segmenter applied to files: palette PNGs and overlays."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from wsseg.errors import InputError
from wsseg.files import atomic_write
from wsseg.images import SUFFIXES, image_files, read_image
from wsseg.labelmaps import overlay, write_label_map
from wsseg.networks.params import PredictionParams
from wsseg.networks.prediction import Segmenter, load_segmenter
from wsseg.runs.folder import folder_lock
from wsseg.runs.progress import log, track
from wsseg.runs.run import Run


def predict_files(run: Path, images: Sequence[Path], out: Path, strict: bool = False) -> int:
    """Write ``out/labels/<name>.png`` and ``out/overlays/<name>.jpg`` for every image.

    Args:
        run: A run's folder (the last round's network is taken), or a ``model.ckpt``.
        images: Image files, or folders that are searched; folders inside keep their names.
        out: The folder to write to.
        strict: Stop at the first bad image in place of setting it aside.

    Returns:
        The number of images set aside.

    Raises:
        InputError: There is no network or no readable image, two images would share a name, or
            an image is bad and ``strict``, or another process predicts into the folder.
    """
    segmenter, prediction = load_segmenter(checkpoint_of(run)), prediction_of(run)
    names = _output_names(images)
    bad = []
    with folder_lock(out, f"--out {out}"):
        for name, path in track(names.items(), "predict", len(names)):
            try:
                _predict_file(segmenter, prediction, path, out, name)
            except InputError as error:
                if strict:
                    raise
                bad.append(f"set aside {path}: {error}")
    for line in bad:
        log(line)
    if len(bad) == len(names):
        raise InputError("IMAGES", "at least one readable image", "none", "correct the paths")
    return len(bad)


def _predict_file(
    segmenter: Segmenter, prediction: PredictionParams, path: Path, out: Path, name: str
) -> None:
    image = read_image(path)
    label_map = segmenter.predict(image, prediction).argmax(axis=0).astype("uint8")
    write_label_map(out / "labels" / f"{name}.png", label_map)
    with atomic_write(out / "overlays" / f"{name}.jpg") as file:
        Image.fromarray(overlay(image, label_map)).save(file, "jpeg", quality=90)


def checkpoint_of(run: Path) -> Path:
    """Return the file of a run's last segmenter.

    Args:
        run: A run's folder (the last round's network is taken), or a ``model.ckpt``.

    Returns:
        The ``model.ckpt``.

    Raises:
        InputError: There is no run, or it has no trained network.
    """
    if run.is_file():
        return run
    return Run(run).last_model().path / "model.ckpt"


def prediction_of(run: Path) -> PredictionParams:
    """Return how a run predicts.

    Args:
        run: A run's folder, or a ``model.ckpt``, which predicts as by default.

    Returns:
        The settings.
    """
    if run.is_file():
        return PredictionParams()
    return Run(run).config.prediction


def _output_names(images: Sequence[Path]) -> dict[str, Path]:
    names: dict[str, Path] = {}
    for given in images:
        for path, root in _files(given):
            name = path.relative_to(root).with_suffix("").as_posix()
            if name in names and not names[name].samefile(path):
                got = f"{names[name]} and {path}"
                raise InputError("image names", "distinct", got, "predict them to two folders")
            names[name] = path
    if not names:
        rule = f"files or folders with {', '.join(SUFFIXES)}"
        raise InputError("IMAGES", rule, "no image", "check the paths")
    return names


def _files(given: Path) -> Iterator[tuple[Path, Path]]:
    if given.is_file():
        yield given, given.parent
        return
    if not given.is_dir():
        raise InputError(f"image {given}", "a file or a folder", "no such file", "check the path")
    yield from ((path, given) for path in image_files(given))
