"""Columns and cells of tables of tags: 0/1 columns of classes, and cells that hold tags."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from wsseg.data.formats.delimited import Row, Table, column_name, split_column
from wsseg.data.formats.geometry import number
from wsseg.data.formats.reading import is_background
from wsseg.errors import InputError

State = Literal["present", "absent", "unsure"]

TAG_COLUMNS = frozenset(
    (
        *("tag", "tags", "label", "labels", "labelname", "labelnames", "class", "classes"),
        *("classname", "classnames", "category", "categories", "choice", "choices", "target"),
        *("targets", "species", "object", "objects", "keywords", "breed", "type"),
    )
)
"""Names of columns of tags, as ``column_name`` returns them, without final digits."""

_UNSURE = "?"
_CODES: Mapping[str, str] = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "t", "x"), "yes"),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "f"), "no"),
    # Spreadsheets write true and false in the language of the office.
    **dict.fromkeys(("wahr", "ja", "vrai", "oui", "verdadero", "sí", "si", "vero", "waar"), "yes"),
    **dict.fromkeys(("verdadeiro", "sim", "prawda", "tak", "sant", "истина", "да"), "yes"),
    **dict.fromkeys(
        ("falsch", "nein", "faux", "non", "falso", "onwaar", "nee", "não", "nao"), "no"
    ),
    **dict.fromkeys(("fałsz", "nie", "falskt", "nej", "ложь", "нет"), "no"),
    **dict.fromkeys(("-1", "-1.0"), "minus"),
    **dict.fromkeys(("", "nan", "na", "n/a", "null", "-"), "blank"),
    _UNSURE: "unsure",
}


@dataclass(frozen=True)
class TagColumns:
    """The meaning of the columns of a table.

    Args:
        listed: Columns whose cells hold tags.
        classes: Classes of the 0/1 columns.
        unread: Names of the other columns.
        meanings: States of a class by the codes in its column, such as "blank".
    """

    listed: tuple[int, ...] = ()
    classes: Mapping[int, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    meanings: Mapping[str, State] = field(default_factory=dict)

    def state(self, cell: str) -> State | None:
        """Return what a cell of a 0/1 column says; None if it cannot be read."""
        return self.meanings.get(_code(cell))


def columns_of(table: Table, names: Sequence[str]) -> TagColumns:
    """Return the meaning of the columns of a table.

    With a header, the columns of tags are those of a usual name such as "tags"; otherwise those of
    0 and 1, or yes and no, each named after its class; otherwise all but numbers. Without a header
    all columns hold tags, or 0 and 1 if classes.txt lists as many classes.

    Args:
        names: The classes of classes.txt; other 0/1 columns are not read if some have these names.

    Raises:
        InputError: No column names the classes that its numbers stand for.
    """
    split, known = split_column(table), {name.casefold() for name in names}
    others = [column for column in table.others() if column != split]
    binary = [c for c in others if _is_binary(table.values(c))]
    if others and not table.header and binary == others and not _all_in(table, others, known):
        classes = [name for name in names if not is_background(name)]
        if len(classes) != len(others):
            got = "columns of 0 and 1 without header"
            remedy = "name the class of each column in a first row: image,cow,sheep"
            raise InputError(f"tags in {table.name}", "names", got, remedy)
        return _binary(table, dict(zip(others, classes, strict=True)), ())
    if not table.header:
        return TagColumns(tuple(others))
    titled = [c for c in others if table.title(c)]
    named = [c for c in titled if column_name(table.title(c)).rstrip("0123456789") in TAG_COLUMNS]
    listed = [c for c in named if c not in binary or _all_in(table, [c], known)]
    classes_of = {c: table.title(c) for c in binary if c in titled and c not in named}
    if {name.casefold() for name in classes_of.values()} & known:
        classes_of = {c: name for c, name in classes_of.items() if name.casefold() in known}
    if not listed and classes_of:
        unread = tuple(table.title(c) for c in titled if c not in classes_of)
        return _binary(table, classes_of, unread)
    if not listed:
        listed = [c for c in titled if not all(map(_is_number, table.values(c)))]
    beyond = [c for c in others if c >= len(table.header)]
    if titled and not listed and not beyond:
        got = f"numbers alone in column {table.title(titled[0])!r}"
        raise InputError(f"tags in {table.name}", "names", got, "write the names of the classes")
    unread = tuple(table.title(c) for c in titled if c not in listed)
    return TagColumns((*listed, *beyond), unread=unread)


def _binary(table: Table, classes: Mapping[int, str], unread: tuple[str, ...]) -> TagColumns:
    """Return 0/1 columns; -1 and empty cells mean "absent" only where it is clear."""
    codes = sum((_codes(table.values(column)) for column in classes), Counter[str]())
    if codes["minus"] and codes["no"]:
        got = f"0 in {codes['no']} cells and -1 in {codes['minus']}: only one can mean absent"
        remedy = "write 0 where the class is absent and ? where it is not certain"
        raise InputError(f"tags in {table.name}", "1, 0 and ?", got, remedy)
    blank: State = "unsure" if codes["no"] or codes["minus"] else "absent"
    meanings: dict[str, State] = {"yes": "present", "no": "absent", "minus": "absent"}
    return TagColumns((), classes, unread, meanings | {"blank": blank, "unsure": "unsure"})


def _code(cell: str) -> str:
    return _CODES.get(cell.lower().replace(",", "."), "other")


def _codes(cells: Iterable[str]) -> Counter[str]:
    codes = Counter[str]()
    for cell, count in Counter(cells).items():
        codes[_code(cell)] += count
    return codes


def _is_binary(cells: Iterable[str]) -> bool:
    """Return whether most cells are 0 or 1; few others may be wrong."""
    codes = _codes(cells)
    n_said = codes["yes"] + codes["no"] + codes["minus"]
    return n_said > 0 and 4 * codes["other"] <= n_said


def _is_number(cell: str) -> bool:
    return not cell or number(cell) == number(cell)


def _all_in(table: Table, columns: Iterable[int], known: Iterable[str]) -> bool:
    cells = {cell.casefold() for column in columns for cell in table.values(column)} - {""}
    return bool(cells) and cells <= {*known}


class TagSplitter:
    """Splits cells into tags, by one separator in all tables of a data set.

    A cell that is a class of classes.txt is one tag. Others are split at bars, else semicolons,
    else commas, if any cell contains one; otherwise at blanks if the cells are lists of tags rather
    than names of two words. That is so if a word of some cell stands alone in another, if there are
    fewer words than cells of several words, if two cells have the same words in different order, or
    if a cell is made of classes of classes.txt.

    Args:
        cells: All cells that hold tags.
        names: The classes of classes.txt.

    Example:
        >>> TagSplitter(["cow", "cow sheep"], ()).tags("cow sheep")
        ['cow', 'sheep']
        >>> TagSplitter(["polar bear", "cow"], ()).tags("polar bear")
        ['polar bear']
    """

    def __init__(self, cells: Iterable[str], names: Sequence[str]) -> None:
        self.known = {name.casefold() for name in names}
        self.cells = [*dict.fromkeys(cells)]

    @cached_property
    def separator(self) -> str:
        """The separator, empty if no cell is split."""
        cells = [cell for cell in self.cells if _json_tags(cell) is None]
        unknown = [cell for cell in cells if not self._is_known(cell)]
        found = (one for one in "|;," if any(one in cell for cell in unknown))
        alone = {cell for cell in cells if " " not in cell}
        several = [cell.split() for cell in unknown if " " in cell]
        are_known = any(all(map(self._is_known, self._joined(words))) for words in several)
        return next(found, " " if are_known or _are_lists(several, alone) else "")

    @property
    def first_split(self) -> str:
        """The first cell that is split by the separator, empty if there is none."""
        cells = (cell for cell in self.cells if _json_tags(cell) is None)
        return next((cell for cell in cells if len(self.tags(cell)) > 1), "")

    def tags(self, cell: str) -> list[str]:
        """Return the tags in a cell, which may start with "?"."""
        text = re.sub(r"\?\s+", _UNSURE, cell)
        if self._is_known(text):
            return [text]
        if (from_json := _json_tags(cell)) is not None:
            return from_json
        if self.separator in {"", " "}:
            return [*self._joined(text.split())] if self.separator else [text]
        return [part.strip() for part in text.split(self.separator) if part.strip()]

    def states(self, cell: str) -> Iterator[tuple[str, State]]:
        """Yield the tags in a cell, each with whether it is sure."""
        for tag in self.tags(cell) if cell else ():
            is_unsure = tag.startswith(_UNSURE)
            yield tag.removeprefix(_UNSURE).strip(), "unsure" if is_unsure else "present"

    def _joined(self, words: Sequence[str]) -> Iterator[str]:
        """Yield words, those together that are a class of classes.txt."""
        start = 0
        while start < len(words):
            ends = range(len(words), start + 1, -1)
            joined = (end for end in ends if self._is_known(" ".join(words[start:end])))
            end = next(joined, start + 1)
            yield " ".join(words[start:end])
            start = end

    def _is_known(self, text: str) -> bool:
        return text.removeprefix(_UNSURE).casefold() in self.known


def _are_lists(several: Sequence[Sequence[str]], alone: Collection[str]) -> bool:
    words = {word for cell in several for word in cell}
    is_reordered = len({frozenset(cell) for cell in several}) < len(several)
    return not words.isdisjoint(alone) or len(words) < len(several) or is_reordered


def _json_tags(cell: str) -> list[str] | None:
    """Return the tags of a list as of Python or JSON, or of Label Studio's choices."""
    if not cell.startswith(("[", "{")):
        return None
    try:
        value = json.loads(cell.replace("'", '"'))
    except (ValueError, RecursionError):
        return None
    value = value.get("choices") if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return None
    return [one.strip() for one in value if one.strip()]


def row_states(
    row: Row, columns: TagColumns, splitter: TagSplitter
) -> Iterator[tuple[str, State | None]]:
    """Yield the classes that a row names and what it says of each, None if that is unreadable."""
    for column, name in columns.classes.items():
        yield name, columns.state(row.cell(column))
    for column in columns.listed:
        yield from splitter.states(row.cell(column))
