"""Image tags by folder: each image lies in the folder of the only class that it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsseg.data.formats.mask_files import image_id_of_mask, masks_in
from wsseg.data.formats.pair_folders import find_pairs
from wsseg.data.formats.paths import files_by_id, folders_in, inside, shown
from wsseg.data.formats.raw import Format, RawDataset, RawImage
from wsseg.data.formats.reading import (
    ProblemLog,
    SampleList,
    choose_splits,
    classes_of,
    is_background,
)
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.image_kinds import is_junk
from wsseg.images import SUFFIXES, image_size

_MASKS = "masks"
_ONLY_SPLIT = "train"
_USUAL = frozenset(("train", "val", "valid", "validation", "test", "training", "testing"))
_OF_OTHERS = frozenset(
    (
        *("images", "labels", "annotations", "jpegimages", "imagesets", "segmentationclass"),
        *("obj_train_data", "obj_valid_data", "imagestr", "labelstr", "imagests", "labelsts"),
        *("fields", "image_2", "semantic", "ann", "leftimg8bit", "gtfine"),
    )
)

_Files = Mapping[str, list[Path]]  # of one split, by id: "<class>/<name>" and deeper


@dataclass(frozen=True)
class _Tree:
    """Images and folder of masks by split, and links that are not followed."""

    splits: dict[str, _Files]
    links: tuple[Path, ...]
    mask_folders: dict[str, Path]


def read_folders(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return what a folder with one folder per class holds.

    Images lie in <split>/<class> and below, or in <class> if the only split is "train". There is a
    level of splits if no image lies directly in a folder of ``root``, or if one of these folders
    has a usual name ("train", "val", "test", ...) and contains folders of images; a single folder
    of another name is the split "train", too. The classes are
    the sorted names of the folders of all splits; images in a folder "background" show no object.
    Sizes come from the images' headers. An id is a path below the folder of its split without
    suffix, "<class>/<name>".

    Args:
        root: Contains the folders, and optionally masks/<split>/<id>.png, without <split> if there
            is no such level.
        splits: Names of folders, or "train"; None: all.

    Raises:
        InputError: A split is missing, or there is no class.
    """
    for pair in find_pairs(root):
        if pair.images != pair.masks:
            message = f"{shown(pair.images, root)} and {shown(pair.masks, root)} hold images and"
            message = f"In {root}, {message} masks of the same names, and are no folders of classes"
            raise InputError(message, hint="set data.format=pairs")
    tree, log, samples = _tree(root), ProblemLog(), SampleList()
    chosen = choose_splits(root, splits, tree.splits, f"a folder in {root}", "none of images")
    names = {_class(id) for files in tree.splits.values() for id in files if _class(id)}
    classes = classes_of(sorted(names), str(root))
    for link in tree.links:
        log.add(shown(link, root), "not followed; copy its images here", "linked folder")
    for split in chosen:
        files, masks = tree.splits[split], _masks(root, split, tree, log)
        of_masks = {id for id in files if image_id_of_mask(id) in files.keys() - {id}}
        if of_masks:
            message = f"{len(of_masks)} files such as {min(of_masks)} are masks by their names, and"
            log.add(f"split {split}", f"{message} no images; not read", "mask in a class folder")
        for id, paths in files.items():
            if id in of_masks:
                continue
            for image in paths if "/" in id and not id.startswith(".") else ():
                with log.image(shown(image, root)):
                    size = image_size(inside(image, root))
                    tags = (_class(id),) if _class(id) else ()
                    raw = RawImage(shown(image, root), id, split=split, tags=tags)
                    samples.add(Sample(id, image, size, (), split), raw, mask=masks.get(id))
    no_boxes = InputError("A data set of class folders has no boxes", hint="set data.weak=tags")
    return RawDataset(
        *(root, classes, samples.samples, log.problems),
        has_tags=True,
        refused={"boxes": no_boxes},
    )


def _masks(root: Path, split: str, tree: _Tree, log: ProblemLog) -> dict[str, Path]:
    """Return the masks of a split by image id, and report files that have no image or class."""
    files = tree.splits[split]
    if strays := [path for id, paths in files.items() if "/" not in id for path in paths]:
        message = f"{shown(strays[0], root)} and {len(strays) - 1} more lie in no class's folder"
        kind = "image in no class folder"
        log.add(f"split {split}", f"{message}; left out", kind, fatal=True)
    return masks_in(tree.mask_folders[split], root, files.keys(), log)


def has_class_folders(root: Path) -> bool:
    """Return whether a folder looks like a data set with one folder of images per class.

    That is so if images ``<folder>/<image>`` or ``<split>/<folder>/<image>`` lie in folders of two
    or more names, of which not all are names of splits such as "train", and if no folder directly
    in ``root`` has a name that other formats use, such as "images" or "JPEGImages".
    """
    if any(path.name.lower() in _OF_OTHERS for path in folders_in(root)):
        return False
    found = {
        path.parent.name
        for pattern in ("*/*", "*/*/*")
        for path in root.glob(pattern)
        if path.suffix.lower() in SUFFIXES and not is_junk(path.parent.name)
    }
    return len(found) > 1 and not found <= _USUAL


def _tree(root: Path) -> _Tree:
    tops = [top for top in folders_in(root) if not top.is_symlink() and top.name != _MASKS]
    listed = {top.name: files_by_id(top, SUFFIXES) for top in tops}
    listed = {name: files for name, files in listed.items() if files}
    masks = root / _MASKS
    folders = (*folders_in(root), *(path for top in tops for path in folders_in(top)))
    links = tuple(path for path in folders if path.is_symlink() and path != masks)
    if _has_splits(listed):
        name, *more = listed
        if not more and name.lower() not in _USUAL:  # such as the folder of an archive
            return _Tree({_ONLY_SPLIT: listed[name]}, links, {_ONLY_SPLIT: masks / name})
        return _Tree(dict(listed), links, {name: masks / name for name in listed})
    if listed and listed.keys() <= _USUAL:
        rule, remedy = "made of folders <split>/<class>", "put each image into its class's folder"
        raise InputError(root, rule, f"images directly in {', '.join(listed)}", remedy)
    joined = {f"{top}/{id}": paths for top, files in listed.items() for id, paths in files.items()}
    return _Tree({_ONLY_SPLIT: joined} if joined else {}, links, {_ONLY_SPLIT: masks})


def _has_splits(listed: Mapping[str, _Files]) -> bool:
    deep = {name: [id for id in files if "/" in id] for name, files in listed.items()}
    usual = any(name.lower() in _USUAL and ids for name, ids in deep.items())
    return bool(listed) and (usual or all(len(deep[name]) == len(listed[name]) for name in listed))


def _class(id: str) -> str:
    """Return the class of an image's folder, empty if it lies in none."""
    name = id.partition("/")[0] if "/" in id else ""
    return "" if name.startswith(".") or is_background(name) else name


FOLDERS = Format(
    "folders",
    "<split>/<class>/*.jpg or <class>/*.jpg",
    has_class_folders,
    read_folders,
    last_resort=True,
)
