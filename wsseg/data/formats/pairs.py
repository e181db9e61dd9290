"""Pairs of images and label maps, in folders beside each other or in one folder."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from wsseg.data.formats.class_names import names_of_masks
from wsseg.data.formats.files import read_names
from wsseg.data.formats.mask_files import find_masks
from wsseg.data.formats.pair_folders import SPLIT_WORDS, Pair, find_pairs
from wsseg.data.formats.paths import inside, shown, some_of
from wsseg.data.formats.raw import SPLIT_NAMES, Format, RawDataset
from wsseg.data.formats.reading import ProblemLog, SampleList, choose_splits, classes_of
from wsseg.data.formats.voc_xml import label_colours
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import image_size
from wsseg.labelmaps import IGNORE, read_label_map

_MOST = 20  # label maps whose values are looked at


def read_pairs(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return the images of folders and the label maps in folders beside them, see ``find_pairs``.

    A pair belongs to the split that its folders or their parent are named after (train, val, ...;
    nnU-Net's imagesTr and imagesTs are "train" and "test"); otherwise the first folder below them
    is the split if it has such a name, then <split>.txt lists the names of images, and else all are
    "train". Class names come from classes.txt, labelmap.txt or nnU-Net's dataset.json. Label maps
    may have the colours of labelmap.txt.

    Args:
        splits: Names of splits; None: all.

    Raises:
        InputError: There is no pair or no such split, no file names the classes, or the label maps
            hold no class numbers.
    """
    log, pairs = ProblemLog(), find_pairs(root)
    if not pairs:
        rule, got = "folders such as images and masks with files of equal names", "none"
        raise InputError(root, rule, got, "give each mask the name of its image")
    by_split = _entries(root, pairs, log)
    chosen = choose_splits(root, splits, by_split, f"a folder in {root}", "no such folder")
    names, colours = names_of_masks(root), label_colours(root)
    masks = [entry.mask for entries in by_split.values() for entry in entries if entry.mask]
    _check_values(masks, names, colours, root)
    labels = None
    if names[-1].lower() == "ignore":
        names = names[:-1]
        labels = (*range(len(names)), IGNORE)
    classes, samples = classes_of(names, str(root)), SampleList()
    for split in chosen:
        for entry in by_split[split]:
            with log.image(shown(entry.image, root)):
                size = image_size(inside(entry.image, root))
                samples.add(Sample(entry.id, entry.image, size, (), split), mask=entry.mask)
    no = "A data set of image and mask pairs has no"
    refused = {
        kind: InputError(f"{no} {kind}", hint="set data.weak=masks") for kind in ("boxes", "tags")
    }
    return RawDataset(
        *(root, classes, tuple(replace(entry, labels=labels) for entry in samples.samples)),
        log.problems,
        refused=refused,
        colours=colours,
    )


@dataclass(frozen=True)
class _Entry:
    """An image, its id and its label map, None if it has none."""

    id: str
    image: Path
    mask: Path | None


def _entries(root: Path, pairs: Sequence[Pair], log: ProblemLog) -> dict[str, list[_Entry]]:
    """Return the images of each split, and report those without a label map."""
    by_split: dict[str, list[_Entry]] = {}
    for pair in pairs:
        images, masks = pair.files
        found = find_masks(masks, shown(pair.masks, root), images.keys(), log)
        if without := [id for id in images if id not in found]:
            message = f"{len(without)} images without mask, such as {some_of(without)}"
            log.add(
                shown(pair.images, root),
                f"{message}; they count as not annotated",
                "image without mask",
            )
        if more := [paths[1].name for paths in images.values() if len(paths) > 1]:
            message = (
                f"{len(more)} further files of the same name, such as {some_of(more)}; not read"
            )
            log.add(shown(pair.images, root), message, "two images of one name")
        for id, paths in images.items():
            split, name = _place(id, pair, images, root)
            by_split.setdefault(split, []).append(_Entry(name, paths[0], found.get(id)))
    lists = _lists(root) if [*by_split] == ["train"] else {}
    return _listed(by_split["train"], lists, log) if lists else by_split


def _place(id: str, pair: Pair, images: Mapping[str, object], root: Path) -> tuple[str, str]:
    """Return the split of an image and its id there."""
    parent = pair.parent
    prefix = parent.relative_to(root).as_posix() if parent != root else ""
    if prefix.lower() in SPLIT_NAMES:
        return prefix, id
    if pair.key in SPLIT_WORDS:
        return SPLIT_WORDS[pair.key], f"{prefix}/{id}" if prefix else id
    if all(one.partition("/")[0].lower() in SPLIT_NAMES for one in images):
        split, _, id = id.partition("/")
        return split, id
    return "train", f"{prefix}/{id}" if prefix else id


def _lists(root: Path) -> dict[str, list[str]]:
    """Return the lines of the files <split>.txt."""
    paths = (inside(root / f"{split}.txt", root) for split in SPLIT_NAMES)
    return {path.stem: read_names(path) for path in paths if path.is_file()}


def _listed(
    entries: Sequence[_Entry], lists: Mapping[str, list[str]], log: ProblemLog
) -> dict[str, list[_Entry]]:
    """Return the images by the lists that name them, by their ids or else their only names."""
    count = Counter(PurePosixPath(entry.id).name for entry in entries)
    by_name = {PurePosixPath(entry.id).name: entry for entry in entries}
    by_name = {name: entry for name, entry in by_name.items() if count[name] == 1}
    by_name |= {entry.id: entry for entry in entries}
    chosen: dict[str, dict[str, _Entry]] = {split: {} for split in lists}
    for split, lines in lists.items():
        for line in lines:
            entry = next((by_name[name] for name in _names_in(line) if name in by_name), None)
            if entry:
                chosen[split][entry.id] = entry
            else:
                message = f"{line!r:.80} is the name of no image; remove it or add the image"
                log.add_line(f"{split}.txt", message, "listed image is missing")
    listed = {id for by_id in chosen.values() for id in by_id}
    if unlisted := sorted(entry.id for entry in entries if entry.id not in listed):
        message = f"{len(unlisted)} images stand in no list: {some_of(unlisted)}; not read"
        log.add("lists of splits", message, "image in no list")
    return {split: [*by_id.values()] for split, by_id in chosen.items()}


def _names_in(line: str) -> Iterator[str]:
    """Yield the names that a line of a list may mean, the most exact first."""
    for text in (line, line.split(maxsplit=1)[0]):
        path = PurePosixPath(text.replace("\\", "/"))
        yield from (path.as_posix(), path.with_suffix("").as_posix(), path.name, path.stem)


def _check_values(
    masks: Sequence[Path],
    names: Sequence[str],
    colours: Sequence[tuple[int, int, int]] | None,
    root: Path,
) -> None:
    """Refuse label maps without class names, and those of 0 and 255 alone.

    Raises:
        InputError: The message lists the values of some label maps, spread over all.
    """
    if not masks:
        message = f"No file beside the images in {root} is a label map of one of them"
        raise InputError(message, hint="save class numbers as PNG, JPEG changes them")
    values, damaged = set[int](), list[InputError]()
    sample = masks[:: max(1, len(masks) // _MOST)]
    for path in sample:
        try:
            values |= {*np.unique(read_label_map(inside(path, root), colours=colours)).tolist()}
        except InputError as error:
            damaged.append(error)
    if damaged and len(damaged) == len(sample):
        raise damaged[0]
    place = f"{len(sample)} of {len(masks)} masks such as {shown(masks[0], root)}"
    if values == {0, IGNORE}:
        message = f"{place} hold only 0 and {IGNORE}, which means ignored"
        remedy = "write the class's number, 1, instead of 255, and its name in classes.txt"
        raise InputError(message, hint=remedy)
    if not names:
        listed = ", ".join(map(str, sorted(values - {IGNORE})))
        message = f"{place} hold the values {listed:.200}, and no file in {root} names them"
        remedy = "write classes.txt with the name of class 0, 1, ... in its lines"
        raise InputError(message, hint=remedy)


PAIRS = Format(
    "pairs",
    "images/* and masks/* of equal names",
    lambda root: bool(find_pairs(root)),
    read_pairs,
    last_resort=True,
)
