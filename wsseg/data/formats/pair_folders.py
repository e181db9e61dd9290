"""Folders of images and of label maps that belong together, found by names and contents."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from pathlib import Path

import numpy as np

from wsseg.data.formats.mask_files import LABEL_MAP_SUFFIXES, image_id_of_mask
from wsseg.data.formats.paths import files_by_id, folders_in
from wsseg.data.formats.raw import SPLIT_NAMES
from wsseg.errors import InputError
from wsseg.image_kinds import is_junk
from wsseg.images import SUFFIXES
from wsseg.labelmaps import read_label_map

SPLIT_WORDS = {"tr": "train", "ts": "test", **{name: name for name in SPLIT_NAMES}}
"""Splits by what names of folders say beside "images" or "labels"; nnU-Net writes Tr and Ts."""

_OF_IMAGES = re.compile(
    r"image_2|images?|imgs?|data|photos?|pictures?|leftimg8bit|rgb|inputs?", re.IGNORECASE
)
_OF_MASKS = re.compile(
    r"masks?_machine|masks?|labels?|label_?maps?|annotations?|annot|ann|gtfine|gts?|ground_?truths?"
    r"|segmentations?|segs?|semantic|fields|targets?",
    re.IGNORECASE,
)
_IMAGE_ENDING = re.compile(r"_(image|img|rgb|sat|leftimg8bit)$", re.IGNORECASE)
_CHANNEL = re.compile(r"_\d{4}$")
_MOST_FOLDERS = 4  # that are compared if their names say nothing
_FEW = 3  # files that are looked at
_MOST_LABELS = 64  # different values in a label map; photographs in grey have more

_Files = dict[str, list[Path]]  # by id


@dataclass(frozen=True)
class Pair:
    """A folder of images and one of label maps; both may be the same.

    Args:
        key: What their names have in common, such as "train" of "train" and "train_masks".
    """

    images: Path
    masks: Path
    key: str

    @property
    def parent(self) -> Path:
        """The folder of both."""
        return self.images if self.images == self.masks else self.images.parent

    @cached_property
    def files(self) -> tuple[_Files, _Files]:
        """The images and the label maps by the ids that they should have in common."""
        if self.images == self.masks:
            images, masks = _told_apart(_directly_in(self.images))
        else:
            images, masks = (files_by_id(folder, SUFFIXES) for folder in (self.images, self.masks))
        is_nnunet = all(map(_CHANNEL.search, images)) and not any(map(_CHANNEL.search, masks))
        ending, by_id = _CHANNEL if is_nnunet else _IMAGE_ENDING, _Files()
        for id, paths in images.items():
            by_id.setdefault(ending.sub("", id), []).extend(paths)
        return by_id, masks

    @cached_property
    def has_partners(self) -> bool:
        """Whether at least half of the images, or of a folder of label maps, have a partner."""
        images, masks = self.files
        n_common = sum(1 for id in masks if id in images or image_id_of_mask(id) in images)
        n_masks = len(images) if self.images == self.masks else len(masks)
        return 2 * n_common >= min(len(images), n_masks) > 0


def find_pairs(root: Path) -> list[Pair]:
    """Return the pairs of folders directly in a folder, or in its folders.

    The folders of a pair have usual names such as "images" and "masks", or "train" and
    "train_labels"; or there are at most four folders, and the files of one, but not of the other,
    have one channel of at most 64 different values. In one folder, a pair are "im0.jpg" and
    "im0_mask.png". At least half of the files must have a partner.
    """
    parents = [root, *(folder for folder in folders_in(root) if not folder.is_symlink())]
    by_images: dict[Path, list[Pair]] = {}
    for pair in (pair for parent in parents for pair in _candidates(parent)):
        if pair.has_partners:
            by_images.setdefault(pair.images, []).append(pair)
    # Of several folders, such as "labels" and "labels_in_colour", only one holds class numbers.
    groups = by_images.values()
    return [
        max(pairs, key=lambda pair: len(pairs) > 1 and _holds_labels(pair.masks))
        for pairs in groups
    ]


def _candidates(parent: Path) -> Iterator[Pair]:
    folders = [folder for folder in folders_in(parent) if not folder.is_symlink()]
    of_masks = {folder: _rest(_OF_MASKS, folder.name) for folder in folders}
    of_images = {folder: _rest(_OF_IMAGES, folder.name) for folder in folders}
    named = False
    for masks, images in permutations(folders, 2):
        key, is_of_masks = of_masks[masks], of_masks[images] is not None
        # A folder "train" beside "train_masks" has no word such as "images".
        if key is not None and not is_of_masks and key in (of_images[images], images.name.lower()):
            named = True
            yield Pair(images, masks, key)
    if not named and 2 <= len(folders) <= _MOST_FOLDERS:
        for images, masks in permutations(folders, 2):
            pair = Pair(images, masks, images.name.lower())
            if pair.has_partners and _holds_labels(masks) and not _holds_labels(images):
                yield pair
    if _told_apart(_directly_in(parent))[1]:
        yield Pair(parent, parent, parent.name.lower())


def _rest(words: re.Pattern[str], name: str) -> str | None:
    """Return what else a name says beside a word, in lower case; None if it has no such word.

    "masks_train" gives "train", and "segway" nothing.
    """
    for found in words.finditer(name):
        before, after = name[: found.start()], name[found.end() :]
        rest = f"{before} {after}".strip("_-. ").lower()
        is_word = not (before[-1:].isalnum() or after[:1].isalnum())
        if is_word or rest in SPLIT_WORDS:
            return rest
    return None


def _holds_labels(folder: Path) -> bool:
    """Return whether the first images below a folder have one channel of few values."""
    paths = [path for paths in files_by_id(folder, SUFFIXES).values() for path in paths][:_FEW]
    try:
        return bool(paths) and all(_is_label_map(path) for path in paths)
    except InputError:
        return False


def _is_label_map(path: Path) -> bool:
    is_exact = path.suffix.lower() in LABEL_MAP_SUFFIXES
    return is_exact and np.unique(read_label_map(path)).size <= _MOST_LABELS


def _directly_in(folder: Path) -> _Files:
    files: _Files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not is_junk(path.name):
            files.setdefault(path.stem, []).append(path)
    return files


def _told_apart(files: _Files) -> tuple[_Files, _Files]:
    """Return the images and the label maps of one folder, told apart by their names.

    Label maps have an ending such as "_mask", or the suffix png where the image is a JPEG.
    """
    keys = {_IMAGE_ENDING.sub("", id) for id in files}
    masks = {id: paths for id, paths in files.items() if image_id_of_mask(id) in keys - {id}}
    images = {id: paths for id, paths in files.items() if id not in masks}
    twins = {id: paths for id, paths in images.items() if len(paths) == 2 and _are_twins(paths)}
    for id, paths in twins.items() if 2 * len(twins) >= len(images) else ():
        masks[id] = [path for path in paths if path.suffix.lower() in LABEL_MAP_SUFFIXES]
        images[id] = [path for path in paths if path not in masks[id]]
    return images, masks


def _are_twins(paths: Sequence[Path]) -> bool:
    suffixes = [path.suffix.lower() in LABEL_MAP_SUFFIXES for path in paths]
    return sorted(suffixes) == [False, True]
