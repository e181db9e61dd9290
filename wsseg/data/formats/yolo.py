"""YOLO: a text file of relative boxes or polygons for each image, and data.yaml."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from wsseg.data.formats.files import read_text
from wsseg.data.formats.geometry import bounds, number
from wsseg.data.formats.paths import ImageIndex, files_by_id, guard, inside, shown
from wsseg.data.formats.raw import (
    SPLIT_NAMES,
    Format,
    RawDataset,
    RawFile,
    RawImage,
    RawObject,
)
from wsseg.data.formats.reading import ProblemLog, SampleList, choose_splits, classes_of
from wsseg.data.formats.yolo_folder import (
    YoloFolder,
    class_names,
    n_pose,
    names_classes,
    place_of,
    plain_path,
    read_settings,
    read_yaml,
    settings_file,
)
from wsseg.data.model import Sample
from wsseg.images import SUFFIXES, image_size


def read_yolo(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return the content of a YOLO folder with data.yaml, obj.data or classes.txt.

    The path of a label file has "labels" in place of the last "images" of the image's path, or is
    beside the image; an image without one has no objects. A confidence at the end of a line and key
    points after a box are not read. Sizes come from the images' headers. Ids are paths in the
    folders of data.yaml, or in ``root`` if data.yaml names lists of images.

    Args:
        splits: Its keys "train", "val", "valid" or "test"; None: all.

    Raises:
        InputError: data.yaml is missing or damaged, or a split's folder or list is missing.
    """
    log, samples = ProblemLog(), SampleList()
    settings, index = read_settings(root, log), ImageIndex(root)
    classes = classes_of(tuple(settings.names.values()), str(settings.path))
    rule, is_inside = f"a key of {settings.path}", guard(root)
    for split in choose_splits(root, splits, settings.splits, rule, "no such key"):
        labelled, images = 0, _images(index, split, settings, log)
        for id, image in images:
            with log.image(shown(image, root)):
                label_file = _label_file(is_inside(image), root)
                labelled += label_file is not None
                size, name = image_size(image), shown(label_file or image, root)
                text = read_text(is_inside(label_file)) if label_file else ""
                objects = tuple(_objects(text, name, settings, log))
                raw = RawImage(name, id, split=split, size=size, objects=objects, relative=True)
                samples.add(Sample(id, image, size, (), split), raw)
        if images and not labelled:
            message = "no image has a label file, so all count as images without objects; check the"
            log.add(f"split {split}", f"{message} labels folder", "split without labels")
    images_of_all = tuple(entry.images[0] for entry in samples.samples)
    return RawDataset(root, classes, samples.samples, log.problems, images=images_of_all)


def read_yolo_labels(path: Path) -> RawFile:
    """Return the content of the folder "labels" beside a data.yaml, with or without its images.

    Images have the names of their label files; a first folder below "labels" with the usual name of
    a split is their split.

    Raises:
        InputError: data.yaml is missing or damaged.
    """
    root, log = path.parent, ProblemLog()
    content = read_yaml(path)
    names = class_names(content.get("names"), path)
    settings = YoloFolder(path, root, names, {}, n_pose(content))
    is_inside, images = guard(root), list[RawImage]()
    for id, (file, *_) in files_by_id(inside(root / "labels", root), (".txt",)).items():
        first, _, rest = id.partition("/")
        split = first if rest and first.lower() in SPLIT_NAMES else None
        subject = shown(file, root)
        with log.image(subject):
            objects = tuple(_objects(read_text(is_inside(file)), subject, settings, log))
            name = rest if split else id
            images.append(RawImage(subject, name, split=split, objects=objects, relative=True))
    return RawFile(tuple(images), classes_of(tuple(names.values()), str(path)).names, log.problems)


def _images(
    index: ImageIndex, split: str, settings: YoloFolder, log: ProblemLog
) -> list[tuple[str, Path]]:
    root = index.root
    places = [place_of(root, settings, entry, split) for entry in settings.splits[split]]
    folders = [place for place in places if place.is_dir()]
    named_from = Path(os.path.commonpath(folders)) if folders == places else root
    images: list[Path] = []
    for place in places:
        if place.is_dir():
            images += (path for paths in files_by_id(place, SUFFIXES).values() for path in paths)
            continue
        searched = (place.parent, settings.base, root)
        for row, line in enumerate(read_text(place).splitlines(), 1):
            if name := line.strip():
                with log.image(f"{shown(place, root)}:{row}"):
                    images.append(plain_path(index.find(name, searched)[1], root))
    unique = dict.fromkeys(images)
    return [(image.relative_to(named_from).with_suffix("").as_posix(), image) for image in unique]


def _label_file(image: Path, root: Path) -> Path | None:
    parts = list(image.relative_to(root).with_suffix(".txt").parts)
    beside = root.joinpath(*parts)
    if "images" in parts[:-1]:
        last = len(parts) - 1 - parts[::-1].index("images")
        if (path := root.joinpath(*parts[:last], "labels", *parts[last + 1 :])).is_file():
            return path
    return beside if beside.is_file() else None


def _objects(text: str, name: str, settings: YoloFolder, log: ProblemLog) -> Iterator[RawObject]:
    for row, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _object(line, f"{name}:{row}", settings, log)


def _fields(line: str) -> list[str]:
    """Return the values of a line; commas separate them, or mark decimals as in some countries."""
    fields = line.split()
    return line.replace(",", " ").split() if len(fields) == 1 else line.replace(",", ".").split()


def _object(line: str, subject: str, settings: YoloFolder, log: ProblemLog) -> RawObject:
    written, *fields = _fields(line) or [line]
    values = [number(field) for field in fields]
    first, names = number(written), settings.names
    class_name = names.get(int(first), "") if first.is_integer() else ""
    if not class_name and written in names.values():
        class_name = written
    # Not even which class it is: any class may be there.
    class_name = class_name or f"number {written:.20}"
    if settings.n_pose and len(values) in {4 + settings.n_pose, 5 + settings.n_pose}:
        values = values[:4]
    # A last value that makes the count odd is the confidence of a prediction.
    if len(values) >= 5 and len(values) % 2 and 0 <= values[-1] <= 1:
        message = f"the last number, {values[-1]:g}, is taken for a confidence and left out"
        log.add_line(subject, message, "confidence at the end of a line")
        values = values[:-1]
    if len(values) == 4:
        x, y, w, h = values
        return RawObject(subject, class_name, (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    if len(values) > 4 and len(values) % 2 == 0:
        return RawObject(subject, class_name, bounds([values]), (values,))
    form = "is not 'class x y width height' nor 'class x1 y1 x2 y2 x3 y3 ...'"
    flaw = f"{line!r:.80} {form}; its class counts as unknown in this image"
    return RawObject(subject, class_name, bounds(()), flaw=flaw)


YOLO = Format(
    "yolo",
    "data.yaml with names, obj.data, or classes.txt beside label files",
    lambda root: settings_file(root) is not None,
    read_yolo,
    files=lambda root: [p] if (p := settings_file(root)) and names_classes(p) else [],
    fits=names_classes,
    read_file=read_yolo_labels,
)
"""A folder of images, or data.yaml and its label files that are laid over another data set."""
