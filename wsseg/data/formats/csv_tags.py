"""Tags of images in tables: one row per image, or one per image and tag."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from wsseg.data.formats.delimited import Row, Table, TableSet, split_column, split_of
from wsseg.data.formats.geometry import number
from wsseg.data.formats.mask_files import masks_in
from wsseg.data.formats.paths import some_of
from wsseg.data.formats.raw import SPLIT_NAMES, RawDataset, RawImage
from wsseg.data.formats.reading import (
    ProblemLog,
    SampleList,
    choose_splits,
    classes_of,
    is_background,
)
from wsseg.data.formats.table_images import Images
from wsseg.data.formats.tag_columns import State, TagColumns, TagSplitter, columns_of, row_states
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_size

_SEPARATORS = {"|": "bars", ";": "semicolons", ",": "commas", " ": "blanks"}


@dataclass
class _Tagged:
    """The rows of a split about one image."""

    id: str
    rows: list[tuple[Table, Row]] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """The first row, as it is named in problems."""
        return self.rows[0][1].subject


class _Reader:
    """The rows of tables, read with the columns and the separator of tags found in all of them."""

    def __init__(self, tables: Sequence[Table], names: Sequence[str]) -> None:
        self.columns = {table.name: columns_of(table, names) for table in tables}
        cells = (
            cell
            for table in tables
            for column in self.columns[table.name].listed
            for cell in table.values(column)
        )
        self.splitter = TagSplitter(filter(None, cells), names)
        self.rows: dict[str, list[tuple[Table, Row]]] = {table.split: [] for table in tables}
        for table in tables:
            column = split_column(table)
            for row in table.rows:
                self.rows.setdefault(split_of(table, row, column), []).append((table, row))
            if column is not None and not self.rows[table.split]:
                del self.rows[table.split]

    def names(self) -> set[str]:
        """Return the classes that the tables name."""
        in_cells = {tag for cell in self.splitter.cells for tag, _ in self.splitter.states(cell)}
        return in_cells.union(*(columns.classes.values() for columns in self.columns.values()))

    def image(self, tagged: _Tagged, split: str, log: ProblemLog) -> RawImage:
        """Return the tags of an image; a class of which its rows say two things is unsure."""
        states: dict[str, set[State]] = defaultdict(set)
        for table, row in tagged.rows:
            for name, state in row_states(row, self.columns[table.name], self.splitter):
                if state is None:
                    message = f"{name}: neither 0 nor 1; counts as unsure"
                    log.add_line(row.subject, message, "cell that is neither 0 nor 1")
                states[name].add(state or "unsure")
        states = {name: said for name, said in states.items() if not is_background(name)}
        for name, said in states.items():
            if len(said) > 1:
                message = f"{name!r:.80} is tagged {' and '.join(sorted(said))}; counts as unsure"
                log.add_line(tagged.subject, message, "tag both sure and unsure")
        present = tuple(name for name, said in states.items() if said == {"present"})
        unsure = tuple(n for n, said in states.items() if said not in ({"present"}, {"absent"}))
        is_tagged = any(table.is_wide for table, _ in tagged.rows)
        tags = present if is_tagged else None
        return RawImage(tagged.subject, tagged.id, split=split, tags=tags, unsure=unsure)


def read_tags(source: TableSet, splits: Sequence[str] | None, log: ProblemLog) -> RawDataset:
    """Return the images that tables tag, each with what all its rows say.

    The classes are those of classes.txt, or else the sorted tags.

    Args:
        splits: Names of splits; None: all.
        log: Receives the problems of rows.

    Raises:
        InputError: A split is unknown, there is no class, or numbers name none.
    """
    root, names = source.root, source.names
    tables = _tables_of_tags(source, log)
    reader, of_tags, samples = _Reader(tables, names), ProblemLog(), SampleList()
    chosen = choose_splits(root, splits, reader.rows, f"a CSV file in {root}", "no such file")
    for table in tables:
        _report(table, reader.columns[table.name], log)
    classes = classes_of(names or sorted(_checked_names(reader, root)), f"{root}/*.csv")
    if first := reader.splitter.first_split:
        message = f"cells such as {first!r:.80} are several tags, split at"
        message = f"{message} {_SEPARATORS[reader.splitter.separator]}; a class of this name must"
        place = next(table.name for table in tables for row in table.rows if first in row.cells)
        of_tags.add(place, f"{message} stand in classes.txt", "cells of several tags")
    read = {split: _tagged(reader.rows[split], split, source.images, log) for split in chosen}
    ids = {tagged.id for by_path in read.values() for tagged in by_path.values()}
    every = chosen == tuple(reader.rows)
    masks = masks_in(root / "masks", root, ids, log if every else ProblemLog())
    for split, by_path in read.items():
        for path, tagged in by_path.items():
            with log.image(tagged.subject):
                sample = Sample(tagged.id, path, image_size(path), (), split)
                raw = reader.image(tagged, split, of_tags)
                samples.add(sample, raw, mask=masks.get(tagged.id))
    no_boxes = InputError("A csv data set has no boxes", hint="set data.weak=tags")
    return RawDataset(
        *(root, classes, samples.samples, log.problems, (), of_tags.problems),
        has_tags=True,
        refused={"boxes": no_boxes},
    )


def _tables_of_tags(source: TableSet, log: ProblemLog) -> list[Table]:
    """Return the tables that can be read, and report the others.

    Raises:
        InputError: There is none, or one that is named after a split cannot be read.
    """
    readable, unreadable = list[Table](), list[InputError]()
    for table in source.tables:
        try:
            columns_of(table, source.names)
            readable.append(table)
        except InputError as error:
            if PurePath(table.name).stem.lower() in SPLIT_NAMES:
                raise
            unreadable.append(error)
            log.add(table.name, f"{error}; not read", "table without tags")
    if unreadable and not readable:
        raise unreadable[0]
    return readable


def _report(table: Table, columns: TagColumns, log: ProblemLog) -> None:
    if not table.rows:
        message = "no row; write image,tag,tag,..."
        log.add(table.name, message, "CSV without images")
    if columns.unread:
        message = f"columns that are not read: {some_of(columns.unread)}"
        log.add(table.name, message, "column that is not read")
    if table.rows and not table.is_wide:
        message = "one column, so that its images count as not tagged; write image,tag,tag,..."
        log.add(table.name, message, "table without tags")


def _tagged(
    rows: Sequence[tuple[Table, Row]], split: str, images: Images, log: ProblemLog
) -> dict[Path, _Tagged]:
    """Return the rows of each image of a split that is found."""
    by_path: dict[Path, _Tagged] = {}
    for table, row in rows:
        with log.image(row.subject):
            id, path = images.find(row.cell(table.column), split)
            by_path.setdefault(path, _Tagged(id)).rows.append((table, row))
    if several := [tagged for tagged in by_path.values() if len(tagged.rows) > 1]:
        places = some_of([row.subject for _, row in several[0].rows])
        message = f"{len(several)} images stand in several rows, such as {several[0].id!r:.80} in"
        message = f"{message} {places}; their tags are joined"
        log.add(f"split {split}", message, "image listed twice in a split")
    return by_path


def _checked_names(reader: _Reader, root: Path) -> set[str]:
    """Return the tags, which become class names.

    Raises:
        InputError: They are numbers that count or measure something, or names of images.
    """
    names = reader.names()
    words = [word for name in names for word in name.split()]
    if words and all(math.isfinite(number(word)) for word in words):
        is_measure = not all(name.isdecimal() for name in names) or reader.splitter.first_split
        if is_measure or names <= {"0", "1"}:
            got = f"numbers such as {min(names)!r:.80} alone"
            remedy = "write the names of the classes that each image shows, or set data.format"
            raise InputError(f"tags in {root}/*.csv", "names", got, remedy)
    if files := [name for name in names if PurePath(name).suffix.lower() in SUFFIXES]:
        got, remedy = (
            f"names of images such as {min(files)!r:.80}",
            "set data.format=pairs for masks",
        )
        raise InputError(f"tags in {root}/*.csv", "names of classes", got, remedy)
    return names
