"""Image tags in CSV: one file per split, and one row per image with the classes it shows."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wsseg.data.formats.files import read_names, read_text
from wsseg.data.formats.paths import files_by_id, image_id, inside, is_file, safe_name, shown
from wsseg.data.formats.raw import Format, RawDataset, RawImage
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


def read_csv(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return what a folder holds whose images are tagged in CSV files.

    A row is "image,tag,tag,...". An image without tags, or tagged "background", shows no object. A
    tag "?cow" means that the image may show a cow. A first row that begins with "image" is a
    header. The classes are those of ``classes.txt``, one name per line, or else the sorted tags of
    all CSV files. Sizes come from the images' headers, and ids are file names without suffix.

    Args:
        root: Contains <split>.csv, images in images/<split>, images, <split> or the folder itself
            (rows may omit their suffixes), and optionally masks/<id>.png.
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
                id, image = places.find(row.image)
                if first.setdefault(image, row.subject) != row.subject:
                    message = f"{row.image!r:.80} stands in {first[image]} already, which counts"
                    log.add_line(row.subject, message, "image listed twice in a split")
                    continue
                sample = Sample(id, image, image_size(image), (), split)
                tagged = replace(_known_tags(row, classes, of_tags), split=split)
                samples.add(sample, tagged, mask=next(iter(masks.get(id, [])), None))
    no_boxes = InputError("A csv data set has no boxes", hint="set data.weak=tags")
    return RawDataset(
        *(root, classes, samples.samples, log.problems, (), of_tags.problems),
        has_tags=True,
        refused={"boxes": no_boxes},
    )


class _Places:
    """The folders of a split's images, listed only if an image is named without its suffix."""

    def __init__(self, root: Path, split: str) -> None:
        self.root = root
        self.folders = (root / "images" / split, root / "images", root / split, root)
        self.listed: dict[Path, dict[str, list[Path]]] = {}

    def find(self, name: str) -> tuple[str, Path]:
        """Return the id and the file of an image that a row names."""
        id = safe_name(name).as_posix()
        for folder in self.folders:
            if is_file(path := folder / name):
                return image_id(name), inside(path, self.root)
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


def _files(root: Path) -> dict[str, Path]:
    paths = sorted(path for path in root.iterdir() if path.suffix.lower() == ".csv")
    return {path.stem: path for path in paths if path.is_file()}


def _rows(path: Path, root: Path) -> Iterator[RawImage]:
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


def _row(subject: str, image: str, tags: Sequence[str]) -> RawImage:
    objects = [tag for tag in tags if tag and not is_background(tag.removeprefix(_UNSURE))]
    present = dict.fromkeys(tag for tag in objects if not tag.startswith(_UNSURE))
    unsure = (tag.removeprefix(_UNSURE).strip() for tag in objects if tag.startswith(_UNSURE))
    return RawImage(subject, image, tags=tuple(present), unsure=tuple(dict.fromkeys(unsure)))


def _classes(root: Path, rows: Mapping[str, Sequence[RawImage]]) -> Classes:
    path = root / "classes.txt"
    if path.is_file():
        names = read_names(inside(path, root))
        if any(is_background(name) for name in names[1:]):
            raise InputError(path, "begun by background", f"{names[0]!r} first", "put it first")
        return classes_of(names, str(path))
    tags = {tag for of in rows.values() for row in of for tag in (*(row.tags or ()), *row.unsure)}
    if tags and tags <= {"0", "1", "-1"}:
        remedy = "write the names of the classes that each image shows"
        raise InputError(f"tags in {root}/*.csv", "names", "a table of 0 and 1", remedy)
    return classes_of(sorted(tags), f"{root}/*.csv")


def _known_tags(row: RawImage, classes: Classes, log: ProblemLog) -> RawImage:
    """Return a row without tags of unknown classes; a tag with and without "?" is unsure."""
    known, written = classes.names[1:], row.tags or ()
    if unknown := [tag for tag in (*written, *row.unsure) if tag not in known]:
        message = f"tag {unknown[0]!r:.80} left out; known classes: {', '.join(known[:8])}"
        log.add_line(row.subject, message, "tag of an unknown class")
    if both := [tag for tag in known if tag in written and tag in row.unsure]:
        message = f"{both[0]} both with and without '?'; counts as unsure"
        log.add_line(row.subject, message, "tag both sure and unsure")
    present = tuple(tag for tag in written if tag in known and tag not in row.unsure)
    return replace(row, tags=present, unsure=tuple(tag for tag in row.unsure if tag in known))


CSV = Format("csv", "<split>.csv", lambda root: bool(_files(root)), read_csv, last_resort=True)
