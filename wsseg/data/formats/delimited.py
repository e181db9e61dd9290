"""Tables in text files: CSV and its relatives, with any separator, with or without a header."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from wsseg.data.formats.files import beginning, read_text
from wsseg.data.formats.paths import folders_in, inside, shown
from wsseg.data.formats.raw import SPLIT_NAMES, split_in
from wsseg.data.formats.table_images import SEPARATORS, Images
from wsseg.errors import InputError
from wsseg.image_kinds import is_junk

IMAGE_COLUMNS = frozenset(
    (
        *("image", "img", "imgs", "imagename", "imagefile", "imagefilename", "imagepath"),
        *("imageid", "imageuri", "imageurl", "imgname", "imgpath", "imgid", "filename", "file"),
        *("filenames", "files", "images", "fname", "filepath", "path", "id", "name", "photo"),
        *("picture", "externalid", "uri", "url"),
    )
)
"""Names of the column of images, as ``column_name`` returns them."""

_SPLIT_COLUMNS = frozenset(("split", "set", "subset", "partition", "usage", "phase"))
_TRUE = frozenset(("true", "1"))
_BOOLEANS = _TRUE | {"false", "0"}
_AFTER_FIRST_CELL = re.compile(r' *(?:"(?:[^"]|"")*"|[^",;\t|]*) *([,;\t|])')
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_TITLE = re.compile(r"\w[\w .:()#-]{0,60}")
_MOST_LINES = 1000  # that are looked at to find the separator
_MOST_ROWS = 100  # that are looked at to find the column of images


@dataclass(frozen=True)
class Row:
    """One row of a table; ``subject`` is its file and line."""

    subject: str
    cells: tuple[str, ...]

    def cell(self, column: int) -> str:
        """Return the text of a column, empty if the row ends before it."""
        return self.cells[column] if column < len(self.cells) else ""


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Args:
        name: Path below the data set's folder.
        split: The split that the file, or else its folder, is named after; empty for none.
        header: Names of the columns; None if the file does not name them.
        column: The column of images.
        n_images: How many of the first 100 rows name an image of the data set.
    """

    name: str
    split: str
    header: tuple[str, ...] | None
    rows: tuple[Row, ...]
    column: int
    n_images: int

    @property
    def is_header_guessed(self) -> bool:
        """Whether the header is the first row because it does not look like the others."""
        return bool(self.header) and column_name(self.title(self.column)) not in IMAGE_COLUMNS

    @cached_property
    def columns(self) -> list[tuple[str, ...]]:
        """The cells of each column; a row that ends before it has an empty cell."""
        return [*zip_longest(*(row.cells for row in self.rows), fillvalue="")]

    @property
    def is_wide(self) -> bool:
        """Whether there is a column beside that of the images, even an empty one."""
        return max(len(self.columns), len(self.header or ())) > 1

    def others(self) -> list[int]:
        """Return the columns beside that of the images which are not empty in every row."""
        return [n for n, cells in enumerate(self.columns) if n != self.column and any(cells)]

    def values(self, column: int) -> tuple[str, ...]:
        """Return the cells of a column, none if only the header has it."""
        return self.columns[column] if column < len(self.columns) else ()

    def title(self, column: int) -> str:
        """Return the name of a column, empty if it has none."""
        return self.header[column] if self.header and column < len(self.header) else ""


@dataclass(frozen=True)
class TableSet:
    """The tables of a data set.

    Args:
        names: Class names of classes.txt; empty without it.
        images: Finds the images of the rows.
    """

    root: Path
    tables: Sequence[Table]
    names: Sequence[str]
    images: Images


def table_files(root: Path) -> list[Path]:
    """Return the tables in a folder and in its folders.

    They are the files of suffix csv or tsv, or txt if the first line has a tab.
    """
    folders = [root, *(folder for folder in folders_in(root) if not folder.is_symlink())]
    return [path for folder in folders for path in sorted(folder.iterdir()) if _is_table(path)]


def _is_table(path: Path) -> bool:
    suffix = path.suffix.lower()
    if is_junk(path.name) or suffix not in {".csv", ".tsv", ".txt"} or not path.is_file():
        return False
    return suffix != ".txt" or "\t" in beginning(path).partition("\n")[0]


def read_tables(root: Path, images: Images) -> list[Table]:
    """Return the tables of a folder; the split of one that has no usual name is empty.

    Raises:
        InputError: A file is damaged, or leads out of the folder.
    """
    return [_table(path, root, images) for path in table_files(root)]


def names_images(path: Path, images: Images) -> bool:
    """Return whether a table names an image in its first rows."""
    text, end, _ = beginning(path).rpartition("\n")
    try:
        rows = [Row("", cells) for _, cells in parsed(text + end)]
    except csv.Error:
        return False
    return _image_column(rows, lambda cell: images.has(cell, ""))[1] > 0


def _usual_split(path: Path, root: Path) -> str:
    """Return the part of a table's name, or else its folder, that is such as "train"."""
    words = [path.stem, *re.split(r"[\W_]+", path.stem)]
    words += [path.parent.name] if path.parent != root else []
    return split_in(words)


def _table(path: Path, root: Path, images: Images) -> Table:
    text, split = read_text(inside(path, root)), _usual_split(path, root)
    if "\0" in text:
        raise InputError(path, "UTF-8 text", "a NUL byte, as in UTF-16", "save it as UTF-8")
    name = shown(path, root)
    try:
        rows = [Row(f"{name}:{line}", cells) for line, cells in parsed(text)]
    except csv.Error as error:
        remedy = "write image,tag,tag,... and close each quote"
        raise InputError(path, "readable CSV", error, remedy) from error

    def is_image(cell: str) -> bool:
        return images.has(cell, split)

    column, count = _image_column(rows, is_image)
    has_header = bool(rows) and _is_header(rows, column, count, is_image)
    header = rows.pop(0).cells if has_header else None
    return Table(name, split, header, tuple(rows), column, count)


def parsed(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    r"""Yield the line numbers and stripped cells of the rows of a text that are not empty.

    The separator is the comma, semicolon, tab or bar that follows the first cell in most lines.

    Raises:
        csv.Error: A quote is not closed, or a cell is too long.

    Example:
        >>> [cells for _, cells in parsed("image;tags\na.jpg;cow, sheep\n")]
        [('image', 'tags'), ('a.jpg', 'cow, sheep')]
    """
    lines = 0
    if first := _SEPARATOR_LINE.match(text):  # as Excel writes
        text, lines, separator = text[first.end() :], 1, first[1]
    else:
        separator = _separator(text)
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=separator, strict=True, skipinitialspace=True)
    try:
        for values in reader:
            cells = tuple(value.strip() for value in values)
            if any(cells):
                yield lines + reader.line_num, cells
    except csv.Error as error:
        raise csv.Error(f"{error} in line {lines + reader.line_num}") from error


def _separator(text: str) -> str:
    lines = text.split("\n", _MOST_LINES)[:_MOST_LINES]
    votes = Counter(found[1] for line in lines if (found := _AFTER_FIRST_CELL.match(line)))
    return max(SEPARATORS, key=lambda separator: votes[separator])


def column_name(text: str) -> str:
    """Return the name of a column in lower case, its letters and digits alone.

    Example:
        >>> column_name("Image_Name"), column_name("tag 2")
        ('imagename', 'tag2')
    """
    return re.sub(r"[\W_]+", "", text.lower())


def _image_column(rows: Sequence[Row], is_image: Callable[[str], bool]) -> tuple[int, int]:
    """Return the first column with the most names of images, and how many they are."""
    sample = rows[1 : _MOST_ROWS + 1] or rows
    best = (0, 0)
    for column in range(max((len(row.cells) for row in sample), default=0)):
        count = sum(1 for row in sample if is_image(row.cell(column)))
        best = (column, count) if count > best[1] else best
        if count == len(sample):
            break
    if best[1] or not rows:
        return best
    titles = [column_name(cell) in IMAGE_COLUMNS for cell in rows[0].cells]
    return (titles.index(True) if any(titles) else 0), 0


def _is_header(
    rows: Sequence[Row], column: int, count: int, is_image: Callable[[str], bool]
) -> bool:
    """Return whether the first row names the columns.

    It does if the column of images has a usual name such as "image". Otherwise the first row must
    not look like the others: it names no image while they do, its cell there is a title rather than
    the name of a file, and none of its other cells occurs again in its column.
    """
    first = rows[0]
    cell = first.cell(column)
    if column_name(cell) in IMAGE_COLUMNS:
        return True
    is_title = _TITLE.fullmatch(cell) and not Path(cell).suffix
    if not count or len(rows) < 2 or not is_title or is_image(cell):
        return False
    return not any(_recurs(rows, other) for other in range(len(first.cells)) if other != column)


def _recurs(rows: Sequence[Row], column: int) -> bool:
    cell = rows[0].cell(column)
    return bool(cell) and any(row.cell(column) == cell for row in rows[1:])


def split_column(table: Table) -> int | None:
    """Return the column that gives each image its split; None if there is none.

    It has a usual name such as "split", or is the first one of a table without header, and holds
    names such as "train" alone. A column "is_valid" holds 0 and 1, or true and false.
    """
    for column in table.others():
        values = {value.lower() for value in table.values(column) if value}
        title = column_name(table.title(column))
        is_named = title in _SPLIT_COLUMNS or (table.header is None and column == 0)
        if (is_named and values <= {*SPLIT_NAMES}) or (title == "isvalid" and values <= _BOOLEANS):
            return column
    return None


def split_of(table: Table, row: Row, column: int | None) -> str:
    """Return the split of a row: that of its cell in a column, or else that of its table."""
    value = row.cell(column).lower() if column is not None else ""
    if column is not None and column_name(table.title(column)) == "isvalid":
        return "val" if value in _TRUE else "train"
    return value or table.split
