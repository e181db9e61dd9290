"""Published weak annotations of Pascal VOC: clicks of What's the Point, lines of ScribbleSup."""

import re
import reprlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from wsseg.data.formats.files import beginning, child_text, read_json, read_xml
from wsseg.data.formats.geometry import number, plausible_size
from wsseg.data.formats.paths import matching_files, safe_name
from wsseg.data.formats.raw import Format, RawFile, RawImage, RawMark
from wsseg.data.formats.reading import ProblemLog, expect
from wsseg.data.formats.voc_xml import VOC_NAMES
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map

_NAMES = ("background", *VOC_NAMES)  # by the number in a file of clicks
_CLICKED_IMAGE = re.compile(r'\{\s*"[^"]*"\s*:\s*\[')
_VOC_ID = re.compile(r"\d{4}_\d{6}")
_VOC_ABBREVIATIONS = {
    "plane": "aeroplane",
    "bike": "bicycle",
    "table": "diningtable",
    "plant": "pottedplant",
    "monitor": "tvmonitor",
}
_MOST_BACKGROUND = 0.5  # share of a file without IGNORE: scribbles never cover that much


def read_clicks(path: Path) -> RawFile:
    """Return the clicks of a UTF-8 file.

    The file contains ``{image id: [{"x": 253.4, "y": 322.4, "cls": 16, "rank": 1}, ...]}``. "cls"
    is 1 to 20 for the classes of Pascal VOC in their order, or 0 for the background. "rank", the
    order in which the objects of an image were clicked, is not read. Coordinates were scaled from
    the displayed size and reach the image's width and height, so they already count from edges.

    The file does not say whether the clicks name every class of an image. People were asked to
    click each; in the published file 2.5 % of the images lack a class. ``data.closed`` decides.

    Clicks that cannot be used are reported as problems. So are files that contain clicks on the
    background alone, which imply that the images show nothing else.

    Raises:
        InputError: The file is missing, damaged, or no object.

    References:
        Bearman et al., What's the Point: Semantic Segmentation with Point Supervision, ECCV 2016,
        arXiv:1506.02106.
    """
    images, log = list[RawImage](), ProblemLog()
    rule, remedy = "an object of lists of clicks by image", "copy it again"
    for image, clicks in read_json(path, rule, dict, remedy).items():
        subject = f"{path.name} {reprlib.repr(image)}"
        with log.leaving_out(subject, "image that cannot be read"):
            images.append(_clicked_image(image, clicks, subject, log))
    if {mark.name for entry in images for mark in entry.marks} == {_NAMES[0]}:
        message = "says which pixels show no object and names no class; lay clicks on the objects, "
        message += "boxes or tags over the images too, or set data.closed=false"
        log.add(path.name, message, "clicks on the background alone")
    return RawFile(tuple(images), VOC_NAMES, log.problems)


def _clicked_image(image: str, clicks: Any, subject: str, log: ProblemLog) -> RawImage:
    safe_name(image)
    marks = list[RawMark]()
    for index, click in enumerate(expect(clicks, list, "clicks", "a list", "correct it")):
        place = f"{subject} [{index}]"
        with log.or_unknown(marks, place, "mark that cannot be read"):
            marks.append(_click(click, place))
    return RawImage(subject, image, tuple(marks))


def _click(click: Any, subject: str) -> RawMark:
    click = expect(click, dict, "click", "an object", "correct it")
    label = click.get("cls")
    if type(label) is not int or not 0 <= label < len(_NAMES):
        rule = f"a whole number from 0 to {len(_NAMES) - 1}"
        raise InputError("cls", rule, reprlib.repr(label), "write the number of a class of VOC")
    point = number(click.get("x")), number(click.get("y"))
    return RawMark(subject, "point", _NAMES[label], (point,))


def read_scribbles(path: Path) -> RawFile:
    """Return the scribbles of one image, from lines in XML or from a label map in PNG.

    In XML, the ``polygon`` elements are lines (their last point is not joined to their first), each
    with the name of its class in ``tag``; X and Y count whole pixels from 0, so the lines run
    through the middles of pixels. The published scribbles abbreviate five names of Pascal VOC; for
    images of VOC, such as 2007_000032.jpg, the full names are restored.

    A PNG holds the class of each scribbled pixel, and 255 everywhere else.

    Args:
        path: ``<id>.xml`` or ``<id>.png``.

    Raises:
        InputError: The file is damaged or of another kind, or its PNG seems to write 0 where
            nothing is marked.

    References:
        Lin et al., ScribbleSup: Scribble-Supervised Convolutional Networks for Semantic
        Segmentation, CVPR 2016, arXiv:1604.05144.
    """
    image = _scribble_map(path) if path.suffix.lower() == ".png" else _scribble_xml(path)
    return RawFile((image,))


def _scribble_map(path: Path) -> RawImage:
    label_map = read_label_map(path)
    share = float(np.mean(label_map == 0))
    if share > _MOST_BACKGROUND and not (label_map == IGNORE).any():
        rule = f"scribbles, {IGNORE} where nothing is marked"
        got = f"0 on {share:.0%} of the pixels and {IGNORE} on none"
        remedy = f"write unmarked pixels as {IGNORE}, or name a full mask in JSON Lines"
        raise InputError(path, rule, got, remedy)
    mark = RawMark(path.name, "mask", "", file=path.absolute())
    return RawImage(path.name, path.stem, (mark,), (label_map.shape[0], label_map.shape[1]))


def _scribble_xml(path: Path) -> RawImage:
    tree = read_xml(path, "XML of scribbles without DTD", "copy it again")
    image = _file_name(tree, path)
    names = _VOC_ABBREVIATIONS if _VOC_ID.fullmatch(image.stem) else {}
    marks = list[RawMark]()
    for index, line in enumerate(tree.findall("polygon")):
        name = child_text(line, "tag")
        points = tuple(
            (number(child_text(point, "X")) + 0.5, number(child_text(point, "Y")) + 0.5)
            for point in line.findall("point")
        )
        subject = f"{path.name} polygon[{index}]"
        marks.append(RawMark(subject, "scribble", names.get(name, name), points))
    size = plausible_size(child_text(tree, "size/height"), child_text(tree, "size/width"))
    return RawImage(path.name, str(image), tuple(marks), size)


def _file_name(tree: Any, path: Path) -> PurePosixPath:
    try:
        return safe_name(child_text(tree, "filename") or path.stem)
    except InputError as error:
        raise InputError(f"filename in {path}", error.rule, error.got, error.remedy) from error


def _is_clicks(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    text = beginning(path)
    has_keys = all(f'"{key}"' in text for key in ("x", "y", "cls"))
    return bool(_CLICKED_IMAGE.match(text)) and has_keys


def _is_scribbles(path: Path) -> bool:
    if path.suffix.lower() == ".png":
        return True
    if path.suffix.lower() != ".xml":
        return False
    text = beginning(path)
    # LabelMe's XML has polygons too, but inside of objects.
    return "<annotation" in text and "<polygon>" in text and "<object>" not in text


# Both are laid over images alone. Files of clicks know neither suffixes nor splits of images; a
# folder of scribbles in PNG could be anything.

CLICKS = Format(
    "clicks",
    files=lambda root: matching_files(root, ("*.json", "annotations/*.json"), _is_clicks),
    fits=_is_clicks,
    read_file=read_clicks,
)

SCRIBBLES = Format(
    "scribbles",
    files=lambda root: [
        path
        for suffix in (".xml", ".png")
        for path in matching_files(root, (f"*{suffix}", f"annotations/*{suffix}"), _is_scribbles)
    ],
    fits=_is_scribbles,
    read_file=read_scribbles,
    image_per_file=True,
)
