"""Tables of tags or boxes: CSV files and their relatives beside images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from wsseg.data.formats.class_names import listed_names
from wsseg.data.formats.csv_boxes import box_columns, check_titles, class_list, read_boxes
from wsseg.data.formats.csv_tags import read_tags
from wsseg.data.formats.delimited import (
    Table,
    TableSet,
    names_images,
    read_tables,
    table_files,
)
from wsseg.data.formats.raw import SPLIT_NAMES, Format, RawDataset
from wsseg.data.formats.reading import ProblemLog
from wsseg.data.formats.table_images import Images


def read_csv(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return the images of a folder that tables tag, or whose objects tables list.

    The separator is a comma, semicolon, tab or bar. The column of images is the one whose cells
    name most images of the data set; they may omit suffixes and folders. The first row is a header
    if its cell there is "image", "file" or alike, or if it does not look like the others.

    Rows of tags are "image,tag,tag,...", or have one column of 0 and 1 for each class, or stand
    once for each tag of an image; a cell may hold several tags (``TagSplitter``). An image without
    tags, or tagged "background", shows no object. A tag "?cow", or "?" in the column of cows, means
    that the image may show a cow. Rows of boxes have four columns of numbers (``box_columns``).
    The classes are those of ``classes.txt``, one name per line, or else the sorted names of all
    tables. Sizes come from the images' headers, and ids are file names without suffix.

    Args:
        root: Contains the tables, here or in folders, images in images/<split>, images, <split> or
            the folder itself, and optionally masks/<id>.png.
        splits: Names of splits, see ``table_files``; None: all.

    Raises:
        InputError: A file is missing or damaged, or names no class.
    """
    images, log = Images(root), ProblemLog()
    tables = read_tables(root, images)
    class_table, numbered = class_list(tables)
    names = listed_names(root) or numbered
    used = _with_images([table for table in tables if table is not class_table], log)
    if boxes := [table for table in used if box_columns(table)]:
        for table in used:
            if table not in boxes and table.rows:
                message = "no columns of boxes, as in other files; not read"
                log.add(table.name, message, "table without boxes")
        return read_boxes(TableSet(root, boxes, names, images), splits, log)
    check_titles(used)
    return read_tags(TableSet(root, used, names, images), splits, log)


def _with_images(tables: Sequence[Table], log: ProblemLog) -> list[Table]:
    """Return the tables that name images or are empty, all if none names any, with their splits.

    The only table that is not named after a split is of "train", several are splits of their own.
    """
    used = [table for table in tables if table.n_images or not table.rows]
    if not any(table.n_images for table in tables):
        used = list(tables)
    for table in (table for table in tables if table not in used):
        message = "its rows name no image of the data set; not read"
        log.add(table.name, message, "table without images", fatal=bool(table.split))
    for table in (table for table in used if table.is_header_guessed):
        message = f"the first row {', '.join(table.header or ())!r:.80} is taken for a header"
        log.add(table.name, message, "unusual header")
    unnamed = [table for table in used if not table.split]
    is_train = len(unnamed) == 1 and all(table.split != "train" for table in used)
    names = {table.name: "train" if is_train else PurePath(table.name).stem for table in unnamed}
    return [replace(table, split=table.split or names[table.name]) for table in used]


def _is_csv(root: Path) -> bool:
    """Return whether a folder has a table that is named after a split, or that names images."""
    files, images = table_files(root), Images(root)
    if any(path.stem.lower() in SPLIT_NAMES for path in files):
        return True
    return any(names_images(path, images) for path in files)


CSV = Format("csv", "CSV that names images", _is_csv, read_csv, last_resort=True)
