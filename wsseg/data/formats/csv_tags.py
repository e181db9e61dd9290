"""Image tags in CSV: one file a split, each row an image and the classes it shows."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wsseg.data.formats.draft import Draft, Use, classes_of, is_background
from wsseg.data.formats.files import (
    files_by_id,
    inside,
    is_file,
    read_text,
    safe_name,
    shown,
)
from wsseg.data.model import Annotation, Classes, Dataset, MaskFile, Sample, Tags
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_size

_HEADER = "image"
_UNSURE = "?"


@dataclass(frozen=True)
class _Row:
    """One image of a CSV: where it stands, its name, and its tags as written."""

    subject: str
    name: str
    present: tuple[str, ...]
    unsure: tuple[str, ...]


@dataclass(frozen=True)
class _Places:
    """Masks by id; where a split's images are looked for, listed only where it is needed."""

    root: Path
    masks: Mapping[str, list[Path]]
    folders: tuple[Path, ...]
    _listed: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)

    def image(self, name: str) -> tuple[str, Path]:
        """Return the id and the file of an image that a row names."""
        relative = safe_name(name)
        for folder in self.folders:
            if is_file(path := folder / relative):
                return relative.with_suffix("").as_posix(), inside(path, self.root)
        id = relative.as_posix()
        for folder in self.folders:
            if files := self._by_id(folder).get(id, []):
                return id, inside(self._only(files, name), self.root)
        places = ", ".join(shown(folder, self.root) for folder in self.folders)
        remedy = "add the file or remove the row; a header begins with 'image'"
        raise InputError(
            f"image {name!r:.80}", "a file of the data set", f"none in {places}", remedy
        )

    def mask(self, id: str) -> tuple[Annotation, ...]:
        """Return the mask of an image, none where there is no file."""
        return tuple(MaskFile(inside(path, self.root)) for path in self.masks.get(id, [])[:1])

    def _by_id(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._listed:
            self._listed[folder] = files_by_id(folder, SUFFIXES)
        return self._listed[folder]

    def _only(self, files: list[Path], name: str) -> Path:
        if len(files) > 1:
            got = " and ".join(path.name for path in files)
            raise InputError(f"image {name!r:.80}", "one file", got, "write its suffix too")
        return files[0]


def read_csv(root: Path, splits: Sequence[str], use: Use = "tags") -> Dataset:
    """Return the samples of a folder whose images are tagged in CSV files.

    A row is "image,tag,tag,...". An image without tags, or tagged "background", shows no object; a
    tag "?cow" is unsure. A first row that begins with "image" is a header. Classes are those of
    ``classes.txt``, a name a line, else the sorted tags of all CSV files. Sizes come from the
    images' headers.

    Args:
        root: Holds <split>.csv, and images in images/<split>, images, <split> or here; a suffix may
            be left out. Masks, where there are any, are masks/<id>.png.
        splits: Names of CSV files.
        use: "tags" or "masks".

    Returns:
        The data set; ids are the images' names without suffix.

    Raises:
        InputError: There are no boxes; or a file is missing or damaged, or names no class.
    """
    if use == "boxes":
        raise InputError("data.weak", "tags for a csv data set", "boxes", "set data.weak=tags")
    rows = {split: list(_rows(path, root)) for split, path in _files(root).items()}
    for split in splits:
        if split not in rows:
            remedy = f"known: {', '.join(rows) or 'none'}"
            raise InputError(f"split {split!r}", f"a CSV file in {root}", "no such file", remedy)
    classes, draft = _classes(root, rows), Draft(use)
    masks = files_by_id(inside(root / "masks", root), (".png",)) if use == "masks" else {}
    for split in splits:
        folders = (root / "images" / split, root / "images", root / split, root)
        _read_split(split, rows[split], _Places(root, masks, folders), classes, draft)
    return draft.dataset(classes)


def csv_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a folder of CSV files.

    Args:
        root: The data set's folder.

    Returns:
        Names of the CSV files in it, without suffix.
    """
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
        lines = [line.strip() for line in read_text(inside(path, root)).splitlines()]
        names = [line for line in lines if line]
        if any(is_background(name) for name in names[1:]):
            raise InputError(path, "begun by background", f"{names[0]!r} first", "put it first")
        return classes_of(names, str(path))
    tags = {tag for of in rows.values() for row in of for tag in (*row.present, *row.unsure)}
    if tags and tags <= {"0", "1", "-1"}:
        remedy = "write the names of the classes that each image shows"
        raise InputError(f"tags in {root}/*.csv", "names", "a table of 0 and 1", remedy)
    return classes_of(sorted(tags), f"{root}/*.csv")


def _read_split(
    split: str, rows: Sequence[_Row], places: _Places, classes: Classes, draft: Draft
) -> None:
    first: dict[Path, str] = {}
    if not rows:
        draft.note(f"{split}.csv", "no row; write image,tag,tag,...", "CSV without images")
    for row in rows:
        with draft.image(row.subject):
            id, image = places.image(row.name)
            if first.setdefault(image, row.subject) != row.subject:
                message = f"{row.name!r:.80} stands in {first[image]} already, which counts"
                draft.note_line(row.subject, message, "image listed twice in a split")
                continue
            made = places.mask(id) if draft.use == "masks" else _tags(row, classes, draft)
            draft.add(Sample(id, image, image_size(image), made, split))


def _tags(row: _Row, classes: Classes, draft: Draft) -> tuple[Annotation, ...]:
    known = {name: label for label, name in enumerate(classes) if label}
    if unknown := [tag for tag in (*row.present, *row.unsure) if tag not in known]:
        message = f"tag {unknown[0]!r:.80} left out; known classes: {', '.join([*known][:8])}"
        draft.note_line(row.subject, message, "tag of an unknown class")
    unsure = {known[tag] for tag in row.unsure if tag in known}
    present = {known[tag] for tag in row.present if tag in known}
    if both := sorted(present & unsure):
        message = f"{classes.names[both[0]]} both with and without '?'; counts as unsure"
        draft.note_line(row.subject, message, "tag both sure and unsure")
    return (Tags(tuple(sorted(present - unsure)), tuple(sorted(unsure))),)
