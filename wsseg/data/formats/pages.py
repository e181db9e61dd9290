"""What annotation tools write: for each image its marks, by class name and in pixels."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wsseg.data.formats.geometry import RunLengths
from wsseg.safe_io import open_regular

Kind = Literal["point", "scribble", "box", "extreme", "polygon", "runs", "mask", "other"]
"""How a mark is drawn; its ``Mark`` says what belongs to each."""


@dataclass(frozen=True)
class Mark:
    """One thing that a person drew, as a file describes it, not yet checked against its image.

    Args:
        subject: File and place in it, named in problems.
        kind: "point": one of ``points``. "scribble": a line through ``points``. "box": two opposite
            corners. "extreme": the leftmost, topmost, rightmost and bottommost point of an object,
            in any order. "polygon": an outline. "runs": pixels as run lengths. "mask": a label map.
            "other": of a kind that a plug-in knows.
        name: The class; empty for a "mask".
        points: (x, y) in pixels of the upright image; nan where the file has no number.
        width: Of a scribble or point, pixels; None where the file does not say.
        runs: Of "runs", checked against the image's size (``fitted_runs``).
        file: Of "mask": a label map's path, as an absolute path.
        values: Of "other": the mark as it stands in the file, "type" among it.
    """

    subject: str
    kind: Kind
    name: str
    points: tuple[tuple[float, float], ...] = ()
    width: float | None = None
    runs: RunLengths | None = None
    file: Path | None = None
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Page:
    """What a file says of one image.

    Args:
        subject: File and place in it, named in problems.
        image: The image's file name as it is written there, "/" between folders.
        marks: What was drawn; later marks are in front.
        size: (H, W) of the upright image, None where the file does not say.
        split: Such as "train", None where the file does not say.
        tags: Names of all classes that the image shows, None where nobody said.
        unsure: Names of classes that it may show or not.
        tags_are_remarks: Whether tags may be about anything, such as "reviewed": they count where
            one of them is a class of the data set, and name classes where nothing else does.
        closed: Whether every class that the image shows has a mark; None where nobody said.
    """

    subject: str
    image: str
    marks: tuple[Mark, ...] = ()
    size: tuple[int, int] | None = None
    split: str | None = None
    tags: tuple[str, ...] | None = None
    unsure: tuple[str, ...] = ()
    closed: bool | None = None
    tags_are_remarks: bool = False


@dataclass(frozen=True)
class Pages:
    """What a file says of all its images.

    Args:
        pages: One an image; a second one of an image adds to the first.
        names: The class names in the order of their labels; empty where the file has no list, and
            its classes are those that are drawn.
        problems: (subject, message, kind) of what was left out or mended.
    """

    pages: tuple[Page, ...]
    names: tuple[str, ...] = ()
    problems: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class PageFormat:
    """How the files of one annotation tool are found and read.

    Args:
        name: Such as "cvat".
        files: Data set folder -> its annotation files, cheaply: by names and first bytes.
        fits: File -> whether it is of this format, by its name and first bytes.
        read: File -> pages. Raises ``InputError`` where the file as a whole cannot be read.
        an_image_a_file: Whether a damaged file costs one image only, so that the others are read.
    """

    name: str
    files: Callable[[Path], list[Path]]
    fits: Callable[[Path], bool]
    read: Callable[[Path], Pages]
    an_image_a_file: bool = False


def beginning(path: Path, count: int = 4096) -> str:
    """Return the first characters of a file, without a byte order mark and leading blanks.

    Args:
        path: The file.
        count: Bytes to read.

    Returns:
        Its text, also of UTF-16, undecodable bytes replaced; empty where it cannot be read.
    """
    try:
        with open_regular(path) as file:
            head = file.read(count)
    except OSError:
        return ""
    is_wide = head.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return head.decode("utf-16" if is_wide else "utf-8-sig", "replace").lstrip()


def files_that_fit(root: Path, pattern: str, fits: Callable[[Path], bool]) -> list[Path]:
    """Return the annotation files of a data set that lie in its folder or in ``annotations/``.

    Args:
        root: The data set's folder.
        pattern: Such as "*.xml".
        fits: File -> whether it is of the format.

    Returns:
        The files, sorted.
    """
    return sorted(path for path in _candidates(root, pattern) if path.is_file() and fits(path))


def _candidates(root: Path, pattern: str) -> Iterator[Path]:
    yield from root.glob(pattern)
    yield from root.glob(f"annotations/{pattern}")
