"""Boxes in tables: one row per object, as RetinaNet, VoTT, TensorFlow and AutoML write them."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsseg.data.formats.delimited import (
    Row,
    Table,
    TableSet,
    column_name,
    split_column,
    split_of,
)
from wsseg.data.formats.geometry import Corners, number, plausible_size
from wsseg.data.formats.mask_files import masks_in
from wsseg.data.formats.raw import RawDataset, RawImage, RawObject
from wsseg.data.formats.reading import ProblemLog, SampleList, choose_splits, classes_of
from wsseg.data.formats.table_images import Images
from wsseg.data.formats.tag_columns import TAG_COLUMNS
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import image_size

_EDGES = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
    ("bboxx1", "bboxy1", "bboxx2", "bboxy2"),
)
_SIDES = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("bboxx", "bboxy", "bboxwidth", "bboxheight"),
    ("bboxx", "bboxy", "bboxw", "bboxh"),
)
_ONE_CELL = ("bbox", "bboxes", "box", "boxes", "boundingbox", "boundingboxes")
_SIZES = (("height", "width"), ("imageheight", "imagewidth"), ("imgheight", "imgwidth"))


@dataclass(frozen=True)
class BoxColumns:
    """The columns of a table of boxes.

    Args:
        edges: Left, top, right and bottom; or left, top, width and height.
        name: The column of classes; None if there is none.
        has_sides: Whether the last two are width and height.
        size: Height and width of the image.
    """

    edges: tuple[int, ...]
    name: int | None
    has_sides: bool = False
    size: tuple[int, ...] = ()

    def corners(self, row: Row) -> Corners:
        """Return the edges of a row's box, NaN where the row has no number."""
        left, top, right, bottom = (number(row.cell(column)) for column in self.edges)
        if self.has_sides:
            right, bottom = left + right, top + bottom
        return left, top, right, bottom


def box_columns(table: Table) -> BoxColumns | None:
    """Return the columns of a table of boxes; None if it has none.

    With a header, boxes have columns such as xmin, ymin, xmax, ymax, or x, y, width, height.
    Without one, they are the only four columns of numbers, or the only four in a row, and there is
    a column of text beside them: left, top, right, bottom and class.
    """
    if table.header:
        return _titled_columns(table, [column_name(title) for title in table.header])
    others = [column for column in table.others() if column != split_column(table)]
    numeric = [column for column in others if _is_numeric(table, column)]
    runs = [run for run in _runs(numeric) if len(run) == 4]
    edges = numeric if len(numeric) == 4 else runs[0] if len(runs) == 1 else []
    text = [column for column in others if column not in numeric]
    return BoxColumns(tuple(edges), text[0]) if edges and text else None


def _titled_columns(table: Table, titles: Sequence[str]) -> BoxColumns | None:
    def find(names: Sequence[str]) -> tuple[int, ...]:
        are_there = all(name in titles for name in names)
        return tuple(titles.index(name) for name in names) if are_there else ()

    edges = next(filter(None, map(find, _EDGES)), ())
    sides = () if edges else next(filter(None, map(find, _SIDES)), ())
    if not edges and not sides:
        return None
    used = {*(edges or sides), table.column}
    sizes = (size for size in map(find, _SIZES) if size and not used & {*size})
    names = [c for c, title in enumerate(titles) if title in TAG_COLUMNS and c not in used]
    by_text = sorted(names, key=lambda column: _is_numeric(table, column))
    name = next(iter(by_text), titles.index("name") if "name" in titles else None)
    return BoxColumns(edges or sides, None if name in used else name, bool(sides), next(sizes, ()))


def _is_numeric(table: Table, column: int) -> bool:
    """Return whether most cells of a column are numbers; empty ones do not count."""
    cells = [cell for cell in table.values(column) if cell]
    n_numbers = sum(1 for cell in cells if math.isfinite(number(cell)))
    return 4 * n_numbers >= 3 * len(cells) > 0


def _runs(columns: Sequence[int]) -> list[list[int]]:
    """Return the runs of neighbouring columns."""
    runs: list[list[int]] = []
    for column in columns:
        if runs and runs[-1][-1] == column - 1:
            runs[-1].append(column)
        else:
            runs.append([column])
    return runs


def class_list(tables: Sequence[Table]) -> tuple[Table | None, list[str]]:
    """Return the table "name,number" of classes, and the names in the order of the numbers."""
    for table in tables:
        rows = [row.cells for row in table.rows]
        pairs = {row[1]: row[0] for row in rows if len(row) == 2 and row[1].isdecimal()}
        if not table.n_images and rows and len(pairs) == len(rows):
            return table, [pairs[key] for key in sorted(pairs, key=int)]
    return None, []


def check_titles(tables: Sequence[Table]) -> None:
    """Refuse tables whose boxes stand in one cell, as their numbers may mean several things.

    Raises:
        InputError: A column is named "bbox" or alike.
    """
    for table in tables:
        for title in table.header or ():
            if column_name(title) in _ONE_CELL:
                message = f"{table.name} has boxes in one column, {title!r:.80}"
                hint = "write columns xmin, ymin, xmax, ymax (or x, y, width, height) and label"
                raise InputError(message, hint=hint)


def read_boxes(source: TableSet, splits: Sequence[str] | None, log: ProblemLog) -> RawDataset:
    """Return the images whose objects tables list, all rows of an image together.

    A row without class and numbers says that an image has no objects. In a row that lacks a
    number, the class may be anywhere in the image. Coordinates are edges in pixels, or shares of
    width and height if none in the table is above 1. The classes are those of classes.txt, or else
    of a table of classes, or else the sorted classes of the rows.

    Args:
        splits: Names of splits; None: all.
        log: Receives the problems of rows.

    Raises:
        InputError: A split is unknown, there is no class, or the numbers may mean several things.
    """
    root, names = source.root, source.names
    by_split: dict[str, list[tuple[Row, RawImage]]] = defaultdict(list)
    for table in source.tables:
        if not table.rows:
            by_split[table.split] = []
            log.add(table.name, "no row; write image,x1,y1,x2,y2,class", "CSV without images")
        for row, image in _raw_images(table, names):
            by_split[image.split or table.split].append((row, image))
    chosen = choose_splits(root, splits, by_split, f"a CSV file in {root}", "no such file")
    raw = [image for rows in by_split.values() for _, image in rows]
    written = {item.name for image in raw for item in image.objects or ()} - {""}
    classes, samples = classes_of(names or sorted(written), f"{root}/*.csv"), SampleList()
    found = {split: _found(by_split[split], split, source.images, log) for split in chosen}
    ids = {id for by_image in found.values() for id, _ in by_image}
    masks = masks_in(root / "masks", root, ids, log if splits is None else ProblemLog())
    for split, by_image in found.items():
        for (id, path), rows in by_image.items():
            with log.image(rows[0].subject):
                size = next((row.size for row in rows if row.size), None) or image_size(path)
                samples.add(Sample(id, path, size, (), split), *rows, mask=masks.get(id))
    return RawDataset(root, classes, samples.samples, log.problems, images=tuple(raw))


def _found(
    rows: Sequence[tuple[Row, RawImage]], split: str, images: Images, log: ProblemLog
) -> dict[tuple[str, Path], list[RawImage]]:
    """Return the rows of each image that is found."""
    by_path: dict[Path, tuple[str, list[RawImage]]] = {}
    for row, image in rows:
        with log.image(row.subject):
            id, path = images.find(image.image, split)
            by_path.setdefault(path, (id, []))[1].append(image)
    return {(id, path): same for path, (id, same) in by_path.items()}


def _raw_images(table: Table, names: Sequence[str]) -> list[tuple[Row, RawImage]]:
    """Return the content of each row.

    Raises:
        InputError: There is no column of classes, or it is not clear what the numbers are.
    """
    columns, split = box_columns(table), split_column(table)
    assert columns
    if columns.name is None and len(names) != 1:
        hint = "name its column 'label', or the only class in classes.txt"
        raise InputError(f"{table.name} has boxes and no column of their classes", hint=hint)
    boxes = [columns.corners(row) for row in table.rows]
    _check_order(table, boxes)
    numbers = [edge for box in boxes for edge in box if math.isfinite(edge)]
    relative = bool(numbers) and max(numbers) <= 1
    result = []
    for row, corners in zip(table.rows, boxes, strict=True):
        name = names[0] if columns.name is None else row.cell(columns.name)
        cells = [row.cell(column) for column in columns.edges]
        is_empty = not any(cells) and (columns.name is None or not name)
        flaw = _flaw(cells, corners)
        item = RawObject(row.subject, name, corners, flaw=flaw)
        size = (
            plausible_size(*(row.cell(column) for column in columns.size)) if columns.size else None
        )
        image = RawImage(
            *(row.subject, row.cell(table.column)),
            size=size,
            split=split_of(table, row, split),
            objects=() if is_empty else (item,),
            relative=relative,
            boxes_only=True,
        )
        result.append((row, image))
    return result


def _flaw(cells: Sequence[str], corners: Corners) -> str:
    if all(map(math.isfinite, corners)):
        return ""
    return f"box with {', '.join(repr(cell) for cell in cells)} for numbers; correct it"


def _check_order(table: Table, boxes: Sequence[Corners]) -> None:
    """Refuse a table without header whose numbers are not left, top, right and bottom."""
    n_swapped = sum(1 for left, top, right, bottom in boxes if right < left or bottom < top)
    if not table.header and 4 * n_swapped > len(boxes):
        message = f"{n_swapped} of {len(boxes)} boxes in {table.name} have right < left or bottom <"
        hint = "name the columns in a first row: image,x,y,width,height,label"
        raise InputError(
            f"{message} top, so that the meaning of their numbers is unknown", hint=hint
        )
