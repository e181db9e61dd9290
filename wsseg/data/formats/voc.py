"""Pascal VOC: one XML of boxes for each image, palette PNG masks, and text files of splits."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wsseg.data.formats.paths import (
    ImageIndex,
    files_by_id,
    guard,
    matching_files,
    shown,
    some_of,
)
from wsseg.data.formats.raw import Format, RawDataset, RawFile, RawImage
from wsseg.data.formats.reading import ProblemLog, SampleList, choose_splits
from wsseg.data.formats.voc_files import read_voc_files
from wsseg.data.formats.voc_lists import ImageSets, NamedTags
from wsseg.data.formats.voc_xml import is_voc_file, label_colours, read_page, voc_classes, xml_files
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.image_kinds import is_junk
from wsseg.images import SUFFIXES, image_size


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
    folder.report_unread_masks(log)
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
        colours=label_colours(root),
        images=tuple(image for image in folder.pages.values() if isinstance(image, RawImage)),
    )


class _Folder:
    """The files of a VOC folder, listed once; each XML is parsed at most once."""

    def __init__(self, root: Path) -> None:
        self.root, self.inside, self.index = root, guard(root), ImageIndex(root)
        self.images, self.xmls, self.masks = (
            files_by_id(self.inside(root / name), suffixes)
            for name, suffixes in (
                ("JPEGImages", SUFFIXES),
                ("Annotations", (".xml",)),
                ("SegmentationClass", (".png",)),
            )
        )
        self.pages: dict[str, RawImage | InputError] = {}

    def report_unread_masks(self, log: ProblemLog) -> None:
        """Report files among the masks that are no PNG of an image."""
        folder = self.root / "SegmentationClass"
        entries = os.scandir(folder) if folder.is_dir() else ()
        names = {entry.name for entry in entries if entry.is_file()}
        of_images = (paths for id, paths in self.masks.items() if id in self.images)
        unread = names - {path.name for paths in of_images for path in paths}
        if unread := {name for name in unread if not is_junk(name)}:
            message = f"holds {len(unread)} files that are no <id>.png, such as"
            message = f"{message} {some_of(sorted(unread))}; not read, save them as PNG"
            log.add(folder.name, message, "file that is no mask")

    def page(self, id: str) -> RawImage | InputError | None:
        """Return the content of the XML file of an image, or its error; None without a file."""
        if id not in self.xmls:
            return None
        if id not in self.pages:
            try:
                path = self.inside(self.xmls[id][0])
                page = read_page(path, f"Annotations/{id}.xml", shown(path, self.root))
                self.pages[id] = replace(page, image=id)
            except InputError as error:
                self.pages[id] = error
        return self.pages[id]


def _ids(text: str, split: str, folder: _Folder, log: ProblemLog) -> list[str]:
    """Return the ids of a split's lines; a second column (as in ImageSets/Main) is not read."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ids = [_listed_id(line, folder) for line in lines]
    unique = list(dict.fromkeys(ids))
    if len(unique) < len(ids):
        message = f"{len(ids) - len(unique)} lines stand twice; read once"
        log.add(f"{split}.txt", message, "image listed twice in a split")
    return unique


def _listed_id(line: str, folder: _Folder) -> str:
    """Return the id in a line, which may have folders, a suffix and a second column."""
    first = line.split(maxsplit=1)[0]
    written = [line, first, *(os.path.splitext(name)[0] for name in (line, first))]  # noqa: PTH122 (a line is no path)
    last = re.split(r"[/\\]", written[-1])[-1]
    return next((name for name in (*written, last) if name in folder.images), first)


def _image(id: str, folder: _Folder, log: ProblemLog) -> Path:
    if id not in folder.images:
        return folder.index.find(id, [folder.root / "JPEGImages"])[1]
    paths = sorted(folder.images[id], key=lambda path: (path.suffix != ".jpg", path))
    if len(paths) > 1:
        message = f"{' and '.join(path.name for path in paths)}: {paths[0].name} is used"
        log.add(id, f"{message}; remove the other", "two images of one name")
    return folder.inside(paths[0])


def _classes(folder: _Folder, sets: ImageSets) -> Classes:
    pages = (folder.page(id) for id in folder.xmls)
    images = (page for page in pages if isinstance(page, RawImage))
    return voc_classes(folder.root, images, sets.class_names(), folder.images)


def read_voc_file(path: Path) -> RawFile:
    """Return the content of one XML file about the image that it names.

    Raises:
        InputError: The file is missing, damaged, or holds a DTD.
    """
    page = read_page(path, path.name, str(path))
    return RawFile((replace(page, image=path.stem),))


def _is_voc(root: Path) -> bool:
    return has_image_sets(root) or next(xml_files(root), None) is not None


def has_image_sets(root: Path) -> bool:
    """Return whether a folder is laid out as the data of the Pascal VOC challenge."""
    lists = (root / "ImageSets" / name for name in ("Main", "Segmentation"))
    return (root / "JPEGImages").is_dir() and any(any(path.glob("*.txt")) for path in lists)


VOC = Format(
    "voc",
    "XML files of boxes, or JPEGImages with ImageSets",
    _is_voc,
    lambda root, splits: (read_voc if has_image_sets(root) else read_voc_files)(root, splits),
    files=lambda root: matching_files(root, ("*.xml", "Annotations/*.xml"), is_voc_file),
    fits=is_voc_file,
    read_file=read_voc_file,
    image_per_file=True,
)
"""A folder of images, or XML files that are laid over another data set."""
