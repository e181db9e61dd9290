"""All formats of data sets: a new one is a module with a reader and an entry in ``FORMATS``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wsseg.data.formats.coco import COCO
from wsseg.data.formats.csv_tables import CSV
from wsseg.data.formats.cvat import CVAT
from wsseg.data.formats.datumaro import DATUMARO
from wsseg.data.formats.files import beginning, opening_once
from wsseg.data.formats.fitting import View
from wsseg.data.formats.folders import FOLDERS
from wsseg.data.formats.jsonl import JSONL
from wsseg.data.formats.labelme import LABELME
from wsseg.data.formats.labelstudio import LABELSTUDIO
from wsseg.data.formats.pairs import PAIRS
from wsseg.data.formats.paths import files_by_id, shown, unread_images
from wsseg.data.formats.published import CLICKS, SCRIBBLES
from wsseg.data.formats.raw import Format, RawDataset, RawSample
from wsseg.data.formats.supervisely import SUPERVISELY
from wsseg.data.formats.views import view
from wsseg.data.formats.voc import VOC, read_voc
from wsseg.data.formats.yolo import YOLO
from wsseg.data.model import Dataset, Problem
from wsseg.data.split_names import matching_split
from wsseg.errors import InputError
from wsseg.images import SUFFIXES
from wsseg.synthetic.scenes import write_scenes

_DEMO_TRAIN, _DEMO_VAL = 120, 40

TEXTS = (".json", ".jsonl", ".xml", ".yaml", ".yml", ".csv", ".txt")
"""Suffixes of annotation files."""


def read_scenes(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return the demo scenes, which are generated at the first call.

    Args:
        root: The folder they are kept in.
        splits: "train", "val" or both; None: both.

    Raises:
        InputError: The folder holds other files.
    """
    write_scenes(root, train=_DEMO_TRAIN, val=_DEMO_VAL, seed=0)
    return read_voc(root, splits)


FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        *(VOC, COCO, YOLO, JSONL, CVAT, LABELME, LABELSTUDIO, SUPERVISELY, DATUMARO),
        *(CSV, PAIRS, FOLDERS, Format("scenes", read=read_scenes), CLICKS, SCRIBBLES),
    )
}
"""Every format by name."""

READABLE = tuple(format.name for format in FORMATS.values() if format.read)
"""Names of the formats of data sets; files of the others are only laid over data sets."""

MARKS: dict[str, Format] = {
    format.name: format
    for format in (
        *(JSONL, CVAT, LABELME, LABELSTUDIO, SUPERVISELY, DATUMARO),
        *(CLICKS, SCRIBBLES),
    )
}
"""Formats of marks. Folders of such files are laid over a data set even if they hold images."""

OVERLAYS: dict[str, Format] = MARKS | {format.name: format for format in (COCO, VOC, YOLO)}
"""Formats whose files can be laid over a data set, in the order in which they are tried."""


def read_raw(root: Path, format: str = "auto", splits: Sequence[str] | None = None) -> RawDataset:
    """Return the content of all annotation files of a data set; each is opened once.

    Args:
        format: A name in ``READABLE``, or "auto" to detect it.
        splits: Names of splits; None: all.

    Raises:
        InputError: The folder is of no known format, has no such split, or a file that describes
            it is missing or damaged.
    """
    with opening_once():
        name = detect_format(root) if format == "auto" else format
        read = FORMATS[name].read if name in FORMATS else None
        if read is None:
            remedy = f"choose one of auto, {', '.join(READABLE)}"
            raise InputError("data.format", "a known format", repr(name), remedy)
        if name != "scenes":  # these are generated
            _check_folder(root)
        raw = read(root, None if splits is None else tuple(dict.fromkeys(splits)))
        others = tuple(
            Problem(shown(unread.paths[0], root), str(unread), kind="image that is not read")
            for unread in unread_images(root)
        )
        samples = _with_split_names(raw.samples, splits or ())
        return replace(raw, format=name, samples=samples, problems=(*raw.problems, *others))


def _with_split_names(
    samples: tuple[RawSample, ...], wanted: Sequence[str]
) -> tuple[RawSample, ...]:
    """Return samples whose splits have the names that were asked for: "val" if it is "valid"."""
    known = {entry.sample.split for entry in samples} - {*wanted}
    names = {matching_split(name, known): name for name in wanted}
    if not names.keys() & known:
        return samples
    return tuple(
        replace(s, sample=replace(s.sample, split=names.get(s.sample.split, s.sample.split)))
        for s in samples
    )


def read_dataset(
    root: Path, format: str = "auto", splits: Sequence[str] | None = None, use: View = "boxes"
) -> Dataset:
    """Return the images of a data set with annotations of one kind; no pixel is decoded.

    Images that cannot be used are left out and reported in the problems, as are all repairs.
    Arguments and errors are those of ``read_raw`` and ``view``.
    """
    return view(read_raw(root, format, splits), use)


def detect_format(root: Path) -> str:
    """Return the format of a data set folder.

    Returns:
        A name in ``READABLE``; "csv", then "pairs" and "folders", only if no other format fits.

    Raises:
        InputError: There is no such folder, or no format fits, or more than one.
    """
    _check_folder(root)
    with opening_once():
        detectable = [format for format in FORMATS.values() if format.detect]
        fits = [f.name for f in detectable if not f.last_resort and f.detect and f.detect(root)]
        if not fits:
            resorts = (f.name for f in detectable if f.last_resort and f.detect and f.detect(root))
            fits = [name for name in (next(resorts, None),) if name]
        if not fits:
            signs = "; ".join(f"{format.sign} ({format.name})" for format in detectable)
            message = f"{root} is of no known format: it has {_content(root)}, and wsseg looked for"
            raise InputError(
                f"{message} {signs}", hint="check the path or export it as one of them"
            )
    if len(fits) > 1:
        message = f"{root} may be of the formats {' and '.join(fits)}"
        raise InputError(message, hint="choose with data.format (--format of check and init)")
    return fits[0]


def _content(root: Path) -> str:
    """Return how many files of each suffix a folder has, and how the first text file begins."""
    files = [path for paths in files_by_id(root, TEXTS + SUFFIXES).values() for path in paths]
    counts = Counter(path.suffix.lower() for path in files)
    listed = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(6))
    text = next((path for path in files if path.suffix.lower() in TEXTS), None)
    begin = f" ({shown(text, root)} begins with {beginning(text)[:60]!r})" if text else ""
    return f"{listed or 'no image and no annotation file'}{begin}"


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        got = "a file" if root.exists() else "no such folder"
        raise InputError(f"data.root {root}", "a folder", got, "check the path")
