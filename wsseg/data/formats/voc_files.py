"""Folders of VOC's XML files without ImageSets, as Roboflow, LabelImg and Label Studio write."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wsseg.data.formats.paths import ImageIndex, files_by_id, inside, shown
from wsseg.data.formats.raw import RawDataset, RawImage, split_in
from wsseg.data.formats.reading import DAMAGED, ProblemLog, SampleList, choose_splits
from wsseg.data.formats.voc_xml import label_colours, read_page, voc_classes, xml_files
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.image_kinds import is_junk
from wsseg.images import SUFFIXES, image_size


def read_voc_files(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return the content of a folder of XML files, each about an image of the same name.

    An XML file is about the image beside it, else about the only one of its name, else about the
    one that it names. A folder named train, val, ... is a split; all other files belong to "train".
    Other images in the folders of such images are not annotated.

    Args:
        splits: Names of folders, or "train"; None: all.

    Raises:
        InputError: There is no such split, or the files name no class.
    """
    log, of_boxes, samples, index = ProblemLog(), ProblemLog(), SampleList(), ImageIndex(root)
    pages = _read_pages(root, log)
    damaged = {Path(problem.subject).stem for problem in log.problems}
    classes = voc_classes(root, pages.values(), (), (path.stem for path in pages))
    by_split: dict[str, list[Path]] = defaultdict(list)
    for path in pages:
        by_split[_split_of(path, root)].append(path)
    masks = files_by_id(inside(root / "SegmentationClass", root), (".png",))
    for split in choose_splits(root, splits, by_split, "a folder of XML files", "no such folder"):
        found = dict[Path, RawImage | None]()
        for path in by_split[split]:
            with log.image(shown(path, root)):
                found[_image_of(path, pages[path].image, split, index)] = pages[path]
        found = {**dict.fromkeys(_images_beside(found)), **found}
        for image, page in sorted(found.items()):
            with log.image(shown(image, root)):
                sample = _sample(index.inside(image), page, split, root)
                if page is None and image.stem not in damaged:
                    of_boxes.add(sample.id, "no XML file; not annotated", "image without XML")
                raw = page or RawImage(sample.id, sample.id)
                samples.add(sample, raw, mask=next(iter(masks.get(sample.id, [])), None))
    return RawDataset(
        *(root, classes, samples.samples, log.problems, of_boxes.problems),
        images=tuple(pages.values()),
        colours=label_colours(root),
    )


def _read_pages(root: Path, log: ProblemLog) -> dict[Path, RawImage]:
    pages = dict[Path, RawImage]()
    for path in xml_files(root):
        name = shown(path, root)
        try:
            pages[path] = read_page(inside(path, root), name, name)
        except InputError as error:
            log.add(name, str(error), DAMAGED, fatal=True)
    return pages


def _split_of(path: Path, root: Path) -> str:
    return split_in(path.relative_to(root).parts[:-1]) or "train"


def _folders(split: str, root: Path) -> tuple[Path, ...]:
    """Return the folders in which images of a split are searched, the first one first."""
    of_split = (root / "images" / split, root / split / "images", root / split)
    return (*of_split, root / "JPEGImages", root / "images", root)


def _image_of(path: Path, written: str, split: str, index: ImageIndex) -> Path:
    """Return the image of an XML file.

    Raises:
        InputError: There is none, or several.
    """
    folders = (path.parent, *_folders(split, index.root))
    try:
        return index.find(path.stem, folders)[1]
    except InputError:
        return index.find(written, folders)[1]


def _images_beside(images: Iterable[Path]) -> Iterator[Path]:
    for folder in sorted({image.parent for image in images}):
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in SUFFIXES and not is_junk(path.name):
                yield path


def _sample(image: Path, page: RawImage | None, split: str, root: Path) -> Sample:
    base = next(folder for folder in _folders(split, root) if image.is_relative_to(folder))
    size = (page.size if page else None) or image_size(image)
    return Sample(image.relative_to(base).with_suffix("").as_posix(), image, size, (), split)
