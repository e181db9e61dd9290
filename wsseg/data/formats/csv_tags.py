"""Image tags in CSV: one file for each split, each row an image and the classes it shows."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsseg.data.formats.files import files_by_id, inside, is_file, safe_name, shown
from wsseg.data.formats.opening import read_names, read_text
from wsseg.data.formats.raw import Format, RawDataset, RawImage, RawSample
from wsseg.data.formats.reading import (
    ProblemLog,
    SampleList,
    choose_splits,
    classes_of,
    is_background,
)
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_size

_HEADER = "image"
_UNSURE = "?"


@dataclass(frozen=True)
class _Row:
    """One row of a CSV: its place, the name of an image, and its tags as written."""

    subject: str
    name: str
    present: tuple[str, ...]
    unsure: tuple[str, ...]


def read_csv(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return what a folder holds whose images are tagged in CSV files.

    A row is "image,tag,tag,...". An image without tags, or tagged "background", shows no object; a
    tag "?cow" is unsure. A first row that begins with "image" is a header. Classes are those of
    ``classes.txt``, a name a line, else the sorted tags of all CSV files. Sizes come from the
    images' headers. Ids are the images' names without suffix.

    Args:
        root: Holds <split>.csv, and images in images/<split>, images, <split> or here; a suffix may
            be left out. Masks, if there are any, are masks/<id>.png.
        splits: Names of CSV files; None: all.

    Raises:
        InputError: A file is missing or damaged, or names no class.
    """
    rows = {split: list(_rows(path, root)) for split, path in _files(root).items()}
    chosen = choose_splits(root, splits, rows, f"a CSV file in {root}", "no such file")
    classes, log, of_tags = _classes(root, rows), ProblemLog(), ProblemLog()
    masks = files_by_id(inside(root / "masks", root), (".png",))
    samples = SampleList()
    for split in chosen:
        if not rows[split]:
            message = "no row; write image,tag,tag,..."
            log.add(f"{split}.csv", message, "CSV without images")
        places, first = _Places(root, split), dict[Path, str]()
        for row in rows[split]:
            with log.image(row.subject):
                id, image = places.image(row.name)
                if first.setdefault(image, row.subject) != row.subject:
                    message = f"{row.name!r:.80} stands in {first[image]} already, which counts"
                    log.add_line(row.subject, message, "image listed twice in a split")
                    continue
                raw = _tagged(row, split, classes, of_tags)
                sample = Sample(id, image, image_size(image), (), split)
                samples.add(RawSample(sample, (raw,), next(iter(masks.get(id, [])), None)))
    subject, rule = "data.weak", "tags for a csv data set"
    return RawDataset(
        *(root, classes, samples.samples, log.problems, (), of_tags.problems),
        has_tags=True,
        refused={"boxes": InputError(subject, rule, "boxes", "set data.weak=tags")},
    )


class _Places:
    """Where the images of a split are looked for; folders are listed only if that is needed."""

    def __init__(self, root: Path, split: str) -> None:
        self.root = root
        self.folders = (root / "images" / split, root / "images", root / split, root)
        self.listed: dict[Path, dict[str, list[Path]]] = {}

    def image(self, name: str) -> tuple[str, Path]:
        """Return the id and the file of an image that a row names."""
        relative = safe_name(name)
        for folder in self.folders:
            if is_file(path := folder / relative):
                return relative.with_suffix("").as_posix(), inside(path, self.root)
        id = relative.as_posix()
        for folder in self.folders:
            if folder not in self.listed:
                self.listed[folder] = files_by_id(folder, SUFFIXES)
            if files := self.listed[folder].get(id, []):
                if len(files) > 1:
                    got = " and ".join(path.name for path in files)
                    raise InputError(f"image {name!r:.80}", "one file", got, "write its suffix too")
                return id, inside(files[0], self.root)
        got = f"none in {', '.join(shown(folder, self.root) for folder in self.folders)}"
        remedy = "add the file or remove the row; a header begins with 'image'"
        raise InputError(f"image {name!r:.80}", "a file of the data set", got, remedy)


def csv_splits(root: Path) -> tuple[str, ...]:
    """Return the names of the CSV files in a folder, without suffix."""
    return tuple(_files(root))


def _files(root: Path) -> dict[str, Path]:
    paths = sorted(path for path in root.iterdir() if path.suffix.lower() == ".csv")
    return {path.stem: path for path in paths if path.is_file()}


def _rows(path: Path, root: Path) -> Iterator[_Row]:
    text, name = read_text(inside(path, root)), shown(path, root)
    if "\0" in text:
        raise InputError(path, "UTF-8 text", "a NUL byte, as in UTF-16", "save it as UTF-8")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for index, fields in enumerate(reader):
            image, *tags = [value.strip() for value in fields] or [""]
            is_header = index == 0 and image.lower() == _HEADER
            if (image or any(tags)) and not is_header:
                yield _row(f"{name}:{reader.line_num}", image, tags)
    except csv.Error as error:
        place = f"{error} in line {reader.line_num}"
        remedy = "write image,tag,tag,... and close each quote"
        raise InputError(path, "readable CSV", place, remedy) from error


def _row(subject: str, image: str, tags: Iterable[str]) -> _Row:
    named = [tag for tag in tags if tag]
    unsure = [tag.removeprefix(_UNSURE).strip() for tag in named if tag.startswith(_UNSURE)]
    present = [tag for tag in named if not tag.startswith(_UNSURE)]
    return _Row(subject, image, _objects(present), _objects(unsure))


def _objects(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tag for tag in tags if not is_background(tag)))


def _classes(root: Path, rows: Mapping[str, Sequence[_Row]]) -> Classes:
    path = root / "classes.txt"
    if path.is_file():
        names = read_names(inside(path, root))
        if any(is_background(name) for name in names[1:]):
            raise InputError(path, "begun by background", f"{names[0]!r} first", "put it first")
        return classes_of(names, str(path))
    tags = {tag for of in rows.values() for row in of for tag in (*row.present, *row.unsure)}
    if tags and tags <= {"0", "1", "-1"}:
        remedy = "write the names of the classes that each image shows"
        raise InputError(f"tags in {root}/*.csv", "names", "a table of 0 and 1", remedy)
    return classes_of(sorted(tags), f"{root}/*.csv")


def _tagged(row: _Row, split: str, classes: Classes, log: ProblemLog) -> RawImage:
    known = classes.names[1:]
    if unknown := [tag for tag in (*row.present, *row.unsure) if tag not in known]:
        message = f"tag {unknown[0]!r:.80} left out; known classes: {', '.join(known[:8])}"
        log.add_line(row.subject, message, "tag of an unknown class")
    if both := sorted({*row.present} & {*row.unsure} & {*known}, key=known.index):
        message = f"{both[0]} both with and without '?'; counts as unsure"
        log.add_line(row.subject, message, "tag both sure and unsure")
    present = tuple(tag for tag in row.present if tag in known and tag not in row.unsure)
    unsure = tuple(tag for tag in row.unsure if tag in known)
    return RawImage(row.subject, row.name, split=split, tags=present, unsure=unsure)


CSV = Format("csv", "<split>.csv", lambda root: bool(csv_splits(root)), read_csv, last_resort=True)
