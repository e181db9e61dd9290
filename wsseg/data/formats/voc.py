"""Pascal VOC: one XML of boxes an image, palette PNG masks, and text files of splits."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from wsseg.data.formats.draft import Draft, Drawn, Use, classes_of, is_background
from wsseg.data.formats.files import files_by_id, inside, read_bytes, read_text, shown
from wsseg.data.formats.geometry import Corners, number, plausible_size
from wsseg.data.formats.voc_lists import (
    class_file_names,
    class_files,
    read_class_files,
    split_text,
    voc_splits,
)
from wsseg.data.model import Annotation, Classes, Dataset, MaskFile, Problem, Sample, Tags
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_size

VOC_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""The classes of Pascal VOC in the order of their labels, 1 to 20."""

_NO_CLASS = ("ignored", "ignore", "void", "unlabeled", "unlabelled")


@dataclass(frozen=True)
class _Page:
    """One XML: the image's size where it is given, and each object's name and corners."""

    size: tuple[int, int] | None
    objects: tuple[tuple[str, Corners], ...]


@dataclass(frozen=True)
class _Folder:
    """What lies in a VOC folder, listed once."""

    root: Path
    images: dict[str, list[Path]]
    pages: dict[str, list[Path]]
    masks: dict[str, list[Path]]

    def page(self, id: str) -> _Page | InputError:
        """Return what the XML of an image says, or what is wrong with it."""
        try:
            return _page(inside(self.pages[id][0], self.root), self.root)
        except InputError as error:
            return error


def read_voc(root: Path, splits: Sequence[str], use: Use = "boxes") -> Dataset:
    """Return the samples of a Pascal VOC folder.

    Class names come from ``labelmap.txt``, else from all XMLs, else from the files of one class in
    ImageSets/Main: in VOC's order where they are VOC's, otherwise sorted. Sizes come from the XMLs,
    where these give none from the headers.

    Args:
        root: Holds JPEGImages, ImageSets, Annotations, SegmentationClass.
        splits: Names of text files in ImageSets/Segmentation, or else ImageSets/Main.
        use: "boxes" from Annotations, "tags" from ImageSets/Main/<class>_<split>.txt or "masks"
            from SegmentationClass.

    Returns:
        The data set; an image without XML (or mask, or a line of any class) has no annotation.

    Raises:
        InputError: A split, the class names or, for tags, every class's file of a split is missing.
    """
    folder = _listed(root)
    draft, texts = Draft(use), {split: split_text(root, split) for split in splits}
    found = {id: folder.page(id) for id in folder.pages}
    classes = _classes_of(root, found.values())
    for split, text in texts.items():
        ids, tags = _ids(text, split, folder, draft), dict[str, Tags]()
        if use == "tags":
            tags = read_class_files(root, split, ids, classes, draft)
        for id in ids:
            with draft.image(id):
                image = _image(id, folder, draft)
                page = _sound(found.get(id))
                size = (page and page.size) or image_size(image)
                if use == "boxes":
                    annotations = _boxes(id, page, size, classes, draft)
                else:
                    annotations = _mask(id, folder) if use == "masks" else _tags(id, tags)
                draft.add(Sample(id, image, size, annotations, split))
    return draft.dataset(classes)


def tagged_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a Pascal VOC folder whose tags can be read.

    Args:
        root: The data set's folder.

    Returns:
        Those of ``voc_splits`` with the file of at least one class.

    Raises:
        InputError: The class names are missing or damaged.
    """
    if not class_file_names(root):
        return ()
    folder = _listed(root)
    classes = _classes_of(root, (folder.page(id) for id in folder.pages))
    files, names = class_files(root, classes.names), set(classes.names[1:])
    return tuple(split for split in voc_splits(root) if not names.isdisjoint(files[split]))


def _listed(root: Path) -> _Folder:
    names = {"JPEGImages": SUFFIXES, "Annotations": (".xml",), "SegmentationClass": (".png",)}
    for name in names:
        inside(root / name, root)
    images, pages, masks = (files_by_id(root / name, ends) for name, ends in names.items())
    return _Folder(root, images, pages, masks)


def _ids(text: str, split: str, folder: _Folder, draft: Draft) -> list[str]:
    """Return the ids of a split's lines; a second column (as in ImageSets/Main) is not read."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ids = [line if line in folder.images else line.split()[0] for line in lines]
    unique = list(dict.fromkeys(ids))
    if len(unique) < len(ids):
        message = f"{len(ids) - len(unique)} lines stand twice; read once"
        draft.note(f"{split}.txt", message, "image listed twice in a split")
    return unique


def _sound(page: _Page | InputError | None) -> _Page | None:
    if isinstance(page, InputError):
        raise page
    return page


def _image(id: str, folder: _Folder, draft: Draft) -> Path:
    if id not in folder.images:
        rule, remedy = "an image in JPEGImages", "add it, or remove its line from ImageSets"
        raise InputError(f"image {id!r}", rule, "no such file", remedy)
    paths = sorted(folder.images[id], key=lambda path: (path.suffix != ".jpg", path))
    if len(paths) > 1:
        message = f"{' and '.join(path.name for path in paths)}: {paths[0].name} is used"
        draft.note(id, f"{message}; remove the other", "two images of one name")
    return inside(paths[0], folder.root)


def _mask(id: str, folder: _Folder) -> tuple[Annotation, ...]:
    return tuple(MaskFile(inside(path, folder.root)) for path in folder.masks.get(id, [])[:1])


def _boxes(
    id: str, page: _Page | None, size: tuple[int, int], classes: Classes, draft: Draft
) -> tuple[Annotation, ...]:
    subject = f"Annotations/{id}.xml"
    if page is None:
        message = "no such file; the image counts as not annotated, add it to use its boxes"
        draft.note(subject, message, "image without XML")
        return ()
    drawn = []
    for name, corners in page.objects:
        if problem := _unknown(name, classes, subject):
            draft.problems.append(problem)
        else:
            drawn.append(Drawn(subject, classes.index(name), corners))
    return draft.annotations(drawn, size)


def _unknown(name: str, classes: Classes, subject: str) -> Problem | None:
    if name in classes.names[1:]:
        return None
    known = ", ".join(classes.names[1:9])
    message = f"object of class {name!r} left out; known classes: {known}"
    return Problem(subject, message, kind="object of an unknown class")


def _tags(id: str, tags: Mapping[str, Tags]) -> tuple[Annotation, ...]:
    return (tags[id],) if id in tags else ()


def _classes_of(root: Path, pages: Iterable[_Page | InputError]) -> Classes:
    path = root / "labelmap.txt"
    if path.is_file():
        return classes_of(_label_map_names(read_text(inside(path, root)), path), str(path))
    drawn = (item for page in pages if isinstance(page, _Page) for item in page.objects)
    found = {name for name, _ in drawn if not is_background(name)} or class_file_names(root)
    if not found:
        remedy = "write labelmap.txt with a line 'name:::' for each class, background first"
        rule = "there, or objects in Annotations/*.xml, or class files in ImageSets/Main"
        raise InputError(path, rule, "none of them", remedy)
    known = found <= set(VOC_NAMES)
    return classes_of(VOC_NAMES if known else sorted(found), str(root))


def _label_map_names(text: str, path: Path) -> list[str]:
    """Return the object classes; masks number the lines, so background is first, void last."""
    lines = [line.strip() for line in text.splitlines()]
    names = [line.split(":")[0].strip() for line in lines if line and not line.startswith("#")]
    named = [name for name in names if name.lower() not in _NO_CLASS]
    if names[: len(named)] != named:
        raise InputError(path, f"ended by {_NO_CLASS}", "a class after it", "move it to the end")
    if any(is_background(name) for name in named[1:]):
        raise InputError(path, "begun by background", f"{named[0]!r} first", "put it first")
    return named


def _page(path: Path, root: Path) -> _Page:
    try:
        tree = fromstring(read_bytes(path), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, OSError) as error:
        got = " ".join(str(error).split())
        rule, remedy = "an XML file of boxes without DTD", "export it again"
        raise InputError(shown(path, root), rule, got, remedy) from error
    size = plausible_size(_text(tree, "size/height"), _text(tree, "size/width"))
    objects = tuple((_text(item, "name"), _corners(item)) for item in tree.findall("object"))
    return _Page(size, objects)


def _text(element: Any, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _corners(item: Any) -> Corners:
    """Return edges from VOC's corners, which count pixels from 1 and lie inside the box."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    read = [number(_text(item, f"bndbox/{key}")) for key in keys]
    left, top, right, bottom = (round(n) if math.isfinite(n) else n for n in read)
    # Inverted corners stay inverted: xmin = xmax + 1 must not become a box of width 0.
    return left - (left <= right), top - (top <= bottom), right, bottom
