"""Clicks on Pascal VOC: one JSON of points for many images, as What's the Point published them."""

import re
import reprlib
from functools import partial
from pathlib import Path
from typing import Any

from wsseg.data.formats.files import read_json, safe_name
from wsseg.data.formats.geometry import number
from wsseg.data.formats.pages import (
    Mark,
    Page,
    PageFormat,
    Pages,
    beginning,
    files_that_fit,
)
from wsseg.data.formats.voc import VOC_NAMES
from wsseg.errors import InputError

_NAMES = ("background", *VOC_NAMES)  # by the number in the file
_IMAGE = re.compile(r'\{\s*"[^"]*"\s*:\s*\[')
_Problems = list[tuple[str, str, str]]


def read_clicks(path: Path) -> Pages:
    """Return the clicks of a file.

    It holds ``{image id: [{"x": 253.4, "y": 322.4, "cls": 16, "rank": 1}, ...]}``. "cls" is 1 to 20
    for the classes of Pascal VOC in their order, or 0 for the background; "rank", in which order
    an image's objects were clicked, is not read. Coordinates were scaled from the size in which the
    images were shown, and reach the images' width and height, so they count from edges as they are.

    The file does not say whether the clicks name every class of an image. People were asked to
    click each; of the published file 2.5 % of the images lack a class. ``data.closed`` decides.

    Args:
        path: UTF-8.

    Returns:
        Its pages. Images and clicks that cannot be used stand in the problems, and so does it where
        all clicks are of the background: taken alone, they say that the images show nothing else.

    Raises:
        InputError: The file is missing, damaged, or no object.

    References:
        Bearman et al., What's the Point: Semantic Segmentation with Point Supervision, ECCV 2016,
        arXiv:1506.02106.
    """
    pages, problems = list[Page](), _Problems()
    for image, clicks in read_json(
        path, "an object of lists of clicks by image", dict, "copy it again"
    ).items():
        subject = f"{path.name} {reprlib.repr(image)}"
        try:
            pages.append(_page(image, clicks, subject, problems))
        except InputError as error:
            problems.append((subject, f"{error}; left out", "image that cannot be read"))
    if {mark.name for page in pages for mark in page.marks} == {_NAMES[0]}:
        message = "says which pixels show no object and names no class; lay clicks on the objects, "
        message += "boxes or tags over the images too, or set data.closed=false"
        problems.append((path.name, message, "clicks on the background alone"))
    return Pages(tuple(pages), VOC_NAMES, tuple(problems))


def _page(image: str, clicks: Any, subject: str, problems: _Problems) -> Page:
    safe_name(image)
    if not isinstance(clicks, list):
        raise InputError("clicks", "a list", reprlib.repr(clicks), "correct it")
    marks, before = list[Mark](), len(problems)
    for index, click in enumerate(clicks):
        place = f"{subject} [{index}]"
        try:
            marks.append(_mark(click, place))
        except InputError as error:
            problems.append((place, f"{error}; left out", "mark that cannot be read"))
    closed = False if len(problems) > before else None
    return Page(subject, image, tuple(marks), closed=closed)


def _mark(click: Any, subject: str) -> Mark:
    if not isinstance(click, dict):
        raise InputError("click", "an object", reprlib.repr(click), "correct it")
    label = click.get("cls")
    if type(label) is not int or not 0 <= label < len(_NAMES):
        rule = f"a whole number from 0 to {len(_NAMES) - 1}"
        raise InputError("cls", rule, reprlib.repr(label), "write the number of a class of VOC")
    point = number(click.get("x")), number(click.get("y"))
    return Mark(subject, "point", _NAMES[label], (point,))


def _is_clicks(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    text = beginning(path)
    return bool(_IMAGE.match(text)) and all(f'"{key}"' in text for key in ("x", "y", "cls"))


CLICKS = PageFormat(
    "clicks", partial(files_that_fit, pattern="*.json", fits=_is_clicks), _is_clicks, read_clicks
)
"""Laid over images alone: its files know neither their suffixes nor their splits."""
