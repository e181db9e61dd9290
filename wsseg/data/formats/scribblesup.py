"""Scribbles, a file an image: lines in XML as ScribbleSup published them, or label maps in PNG."""

import re
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from wsseg.data.formats.files import read_bytes, safe_name
from wsseg.data.formats.geometry import number, plausible_size
from wsseg.data.formats.pages import (
    Mark,
    Page,
    PageFormat,
    Pages,
    beginning,
    files_that_fit,
)
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map

_VOC_ID = re.compile(r"\d{4}_\d{6}")
_VOC_NAMES = {  # of the published scribbles on Pascal VOC
    "plane": "aeroplane",
    "bike": "bicycle",
    "table": "diningtable",
    "plant": "pottedplant",
    "monitor": "tvmonitor",
}
_MOST_BACKGROUND = 0.5  # of a file without IGNORE: scribbles never cover that much


def read_scribbles(path: Path) -> Pages:
    """Return the scribbles of one image.

    In XML, the ``polygon`` elements are lines (their last point is not joined to their first), each
    with the name of its class in ``tag``; X and Y count whole pixels from 0, so the lines run
    through their middles. The published scribbles abbreviate five names of Pascal VOC: in files of
    its images, such as 2007_000032.jpg, these become VOC's.

    A PNG holds the class of each scribbled pixel, and 255 everywhere else.

    Args:
        path: ``<id>.xml`` or ``<id>.png``.

    Returns:
        One page.

    Raises:
        InputError: The file is damaged or of another kind, or its PNG seems to write 0 where
            nothing is marked.

    References:
        Lin et al., ScribbleSup: Scribble-Supervised Convolutional Networks for Semantic
        Segmentation, CVPR 2016, arXiv:1604.05144.
    """
    return Pages((_page_of_map(path) if path.suffix.lower() == ".png" else _page_of_xml(path),))


def _page_of_map(path: Path) -> Page:
    label_map = read_label_map(path)
    share = float(np.mean(label_map == 0))
    if share > _MOST_BACKGROUND and not (label_map == IGNORE).any():
        rule = f"scribbles, {IGNORE} where nothing is marked"
        got = f"0 on {share:.0%} of the pixels and {IGNORE} on none"
        remedy = f"write unmarked pixels as {IGNORE}, or name a full mask in JSON Lines"
        raise InputError(path, rule, got, remedy)
    mark = Mark(path.name, "mask", "", file=path.absolute())
    return Page(path.name, path.stem, (mark,), (label_map.shape[0], label_map.shape[1]))


def _page_of_xml(path: Path) -> Page:
    try:
        tree = fromstring(read_bytes(path), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, OSError) as error:
        got = " ".join(str(error).split())
        raise InputError(path, "XML of scribbles without DTD", got, "copy it again") from error
    image = _image(tree, path)
    names = _VOC_NAMES if _VOC_ID.fullmatch(image.stem) else {}
    marks = list[Mark]()
    for index, line in enumerate(tree.findall("polygon")):
        name = _text(line, "tag")
        points = tuple(_middle(point) for point in line.findall("point"))
        subject = f"{path.name} polygon[{index}]"
        marks.append(Mark(subject, "scribble", names.get(name, name), points))
    size = plausible_size(_text(tree, "size/height"), _text(tree, "size/width"))
    return Page(path.name, str(image), tuple(marks), size)


def _image(tree: Any, path: Path) -> PurePosixPath:
    try:
        return safe_name(_text(tree, "filename") or path.stem)
    except InputError as error:
        raise InputError(f"filename in {path}", error.rule, error.got, error.remedy) from error


def _middle(point: Any) -> tuple[float, float]:
    return number(_text(point, "X")) + 0.5, number(_text(point, "Y")) + 0.5


def _text(element: Any, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _is_scribbles(path: Path) -> bool:
    if path.suffix.lower() == ".png":
        return True
    if path.suffix.lower() != ".xml":
        return False
    text = beginning(path)
    # LabelMe's XML has polygons too, but inside of objects
    return "<annotation" in text and "<polygon>" in text and "<object>" not in text


def _files(root: Path) -> list[Path]:
    return [
        *files_that_fit(root, "*.xml", _is_scribbles),
        *files_that_fit(root, "*.png", _is_scribbles),
    ]


SCRIBBLES = PageFormat("scribbles", _files, _is_scribbles, read_scribbles, an_image_a_file=True)
"""Laid over images alone: as a data set, a folder of PNGs could be anything."""
