"""Pascal VOC: one XML of boxes for each image, palette PNG masks, and text files of splits."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsseg.data.formats.files import beginning, child_text, read_text, read_xml
from wsseg.data.formats.geometry import Corners, number, plausible_size
from wsseg.data.formats.paths import files_by_id, guard, inside, matching_files, shown
from wsseg.data.formats.raw import Format, RawDataset, RawFile, RawImage, RawObject
from wsseg.data.formats.reading import (
    ProblemLog,
    SampleList,
    choose_splits,
    classes_of,
    is_background,
)
from wsseg.data.formats.voc_lists import ImageSets, NamedTags
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_size

VOC_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""The classes of Pascal VOC in the order of their labels, 1 to 20."""

_NO_CLASS = ("ignored", "ignore", "void", "unlabeled", "unlabelled")


def read_voc(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return the content of a Pascal VOC folder: JPEGImages, ImageSets, Annotations and masks.

    Class names come from ``labelmap.txt``; without it from all XML files; without objects from the
    files of one class in ImageSets/Main: in VOC's order if they are VOC's, otherwise sorted. With
    ``labelmap.txt`` only the XML files of listed images are parsed. Sizes come from the XML files,
    or from the images' headers if these give none. An image without XML, without mask, or in no
    file of a class has no such annotation.

    Args:
        splits: Names of text files in ImageSets/Segmentation, or else ImageSets/Main; None: all.

    Raises:
        InputError: A split or the class names are missing or damaged.
    """
    sets = ImageSets(root)
    texts = {split: sets.text(split) for split in choose_splits(root, splits, sets.splits)}
    folder = _Folder(root)
    classes = _classes(folder, sets)
    log, of_boxes, of_tags = ProblemLog(), ProblemLog(), ProblemLog()
    refused: dict[str, InputError] = {}
    samples = SampleList()
    for split, text in texts.items():
        ids = _ids(text, split, folder, log)
        tags: Mapping[str, NamedTags] = {}
        try:
            tags = sets.tags(split, ids, classes, of_tags)
        except InputError as error:
            refused |= {"tags": error, "all": error}
        for id in ids:
            with log.image(id):
                image = _image(id, folder, log)
                page = folder.page(id)
                if isinstance(page, InputError):
                    raise page
                if page is None:
                    message = "no such file; the image counts as not annotated, add it to use its"
                    of_boxes.add(f"Annotations/{id}.xml", f"{message} boxes", "image without XML")
                    page = RawImage(id, id)
                if id in tags:
                    page = replace(page, tags=tags[id][0], unsure=tags[id][1])
                sample = Sample(id, image, page.size or image_size(image), (), split)
                samples.add(sample, page, mask=next(iter(folder.masks.get(id, [])), None))
    if not (tagged := sets.tagged_splits(classes)):
        rule = f"in files {root / 'ImageSets' / 'Main'}/<class>_{next(iter(texts), '')}.txt"
        remedy = "add them, or set data.weak=boxes_as_tags"
        subject = f"tags of split {next(iter(texts), '')!r}"
        refused["tags"] = InputError(subject, rule, "no such file of a known class", remedy)
    return RawDataset(
        *(root, classes, samples.samples, log.problems, of_boxes.problems),
        of_tags.problems if tagged else (),
        has_tags=True,
        refused=refused,
        images=tuple(image for image in folder.pages.values() if isinstance(image, RawImage)),
    )


class _Folder:
    """The files of a VOC folder, listed once; each XML is parsed at most once."""

    def __init__(self, root: Path) -> None:
        self.root, self.inside = root, guard(root)
        self.images, self.xmls, self.masks = (
            files_by_id(self.inside(root / name), suffixes)
            for name, suffixes in (
                ("JPEGImages", SUFFIXES),
                ("Annotations", (".xml",)),
                ("SegmentationClass", (".png",)),
            )
        )
        self.pages: dict[str, RawImage | InputError] = {}

    def page(self, id: str) -> RawImage | InputError | None:
        """Return the content of the XML file of an image, or its error; None without a file."""
        if id not in self.xmls:
            return None
        if id not in self.pages:
            try:
                path = self.inside(self.xmls[id][0])
                self.pages[id] = _page(path, id, f"Annotations/{id}.xml", shown(path, self.root))
            except InputError as error:
                self.pages[id] = error
        return self.pages[id]


def _ids(text: str, split: str, folder: _Folder, log: ProblemLog) -> list[str]:
    """Return the ids of a split's lines; a second column (as in ImageSets/Main) is not read."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ids = [line if line in folder.images else line.split()[0] for line in lines]
    unique = list(dict.fromkeys(ids))
    if len(unique) < len(ids):
        message = f"{len(ids) - len(unique)} lines stand twice; read once"
        log.add(f"{split}.txt", message, "image listed twice in a split")
    return unique


def _image(id: str, folder: _Folder, log: ProblemLog) -> Path:
    if id not in folder.images:
        rule, remedy = "an image in JPEGImages", "add it, or remove its line from ImageSets"
        raise InputError(f"image {id!r}", rule, "no such file", remedy)
    paths = sorted(folder.images[id], key=lambda path: (path.suffix != ".jpg", path))
    if len(paths) > 1:
        message = f"{' and '.join(path.name for path in paths)}: {paths[0].name} is used"
        log.add(id, f"{message}; remove the other", "two images of one name")
    return folder.inside(paths[0])


def _classes(folder: _Folder, sets: ImageSets) -> Classes:
    path = folder.root / "labelmap.txt"
    if path.is_file():
        text = read_text(inside(path, folder.root))
        return classes_of(_label_map_names(text, path), str(path))
    pages = [folder.page(id) for id in folder.xmls]
    images = [page for page in pages if isinstance(page, RawImage)]
    objects = {item.name for image in images for item in image.objects or ()}
    names = {name for name in objects if not is_background(name)} or sets.class_names()
    if not names:
        remedy = "write labelmap.txt with a line 'name:::' for each class, background first"
        rule = "there, or objects in Annotations/*.xml, or class files in ImageSets/Main"
        raise InputError(path, rule, "none of them", remedy)
    return classes_of(VOC_NAMES if names <= set(VOC_NAMES) else sorted(names), str(folder.root))


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


def _page(path: Path, image: str, subject: str, name: str) -> RawImage:
    tree = read_xml(path, "an XML file of boxes without DTD", "export it again", name)
    size = plausible_size(child_text(tree, "size/height"), child_text(tree, "size/width"))
    objects = (
        RawObject(subject, child_text(item, "name"), _corners(item.find("bndbox")))
        for item in tree.findall("object")
    )
    return RawImage(subject, image, size=size, objects=tuple(objects), boxes_only=True)


def _corners(box: Any) -> Corners:
    """Return edges from VOC's corners, which count pixels from 1 and lie inside the box."""
    if box is None:
        return math.nan, math.nan, math.nan, math.nan
    read = (number(box.findtext(key)) for key in ("xmin", "ymin", "xmax", "ymax"))
    left, top, right, bottom = (round(n) if math.isfinite(n) else n for n in read)
    # Inverted corners stay inverted: xmin = xmax + 1 must not become a box of width 0.
    return left - (left <= right), top - (top <= bottom), right, bottom


def read_voc_file(path: Path) -> RawFile:
    """Return the content of one XML file about the image of the same name.

    Raises:
        InputError: The file is missing, damaged, or holds a DTD.
    """
    return RawFile((_page(path, path.stem, path.name, str(path)),))


def _fits(path: Path) -> bool:
    if path.suffix.lower() != ".xml":
        return False
    head = beginning(path)
    # CVAT writes <annotations>, and scribbles are polygons in no object.
    return re.search(r"<annotation[\s>]", head) is not None and "<polygon>" not in head


def _is_voc(root: Path) -> bool:
    lists = (root / "Annotations", root / "ImageSets")
    return (root / "JPEGImages").is_dir() and any(path.is_dir() for path in lists)


VOC = Format(
    "voc",
    "JPEGImages with Annotations or ImageSets",
    _is_voc,
    read_voc,
    files=lambda root: matching_files(root, ("*.xml", "Annotations/*.xml"), _fits),
    fits=_fits,
    read_file=read_voc_file,
    image_per_file=True,
)
"""A folder of images, or XML files that are laid over another data set."""
