"""Hold out validation images of a data set that has no validation split of its own."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.data.classes import present_classes
from wsseg.data.formats.raw import RawDataset, RawImage, RawSample
from wsseg.data.formats.views import view
from wsseg.data.model import Sample
from wsseg.data.similar import similar_groups
from wsseg.data.split_names import matching_split, split_remedy
from wsseg.errors import InputError

SIMILAR = "similar"


def hold_out(
    raw: RawDataset, train: str, val: str, share: float, group: str | None = None
) -> RawDataset:
    """Return a data set with some images of a split moved to a new split.

    Every class is on both sides if two groups of images show it. The result depends on the images'
    ids, classes and groups only: not on their order, on a seed, or on other settings.

    Args:
        train: The split to divide. If there is none of this name and only one split, that one.
        share: Share of the images that are held out.
        group: Pattern of the part of an id that names its group, or "similar"; the images of a
            group stay together. None: every image is a group.

    Raises:
        InputError: There is such a split already, no split to divide, or only one group.

    References:
        Sechidis et al., On the Stratification of Multi-label Data, ECML PKDD 2011.
    """
    known = tuple(dict.fromkeys(entry.sample.split for entry in raw.samples))
    if (own := matching_split(val, known)) in known:
        sentence = f"data.split is {share:g}, but {raw.root} has a validation split {own!r}"
        hint = f"leave data.split out, or set data.val to a new name to divide {train!r}"
        raise InputError(sentence, hint=hint)
    source = matching_split(train, known)
    if source not in known and len(known) == 1:
        source = known[0]
    if source not in known:
        remedy = split_remedy(train, (train, val), known)
        raise InputError(f"split {train!r}", "a split with images", "no image", remedy)
    chosen = [entry for entry in raw.samples if entry.sample.split == source]
    groups = _groups([entry.sample for entry in chosen], group)
    if len({*groups}) < 2:
        got, remedy = f"one group of {len(chosen)} images", "set data.val=null or change data.group"
        raise InputError("data.split", "possible, which takes two groups of images", got, remedy)
    held_out = divide(shown_classes(raw, chosen), groups, share)
    sides = {id(e): val if out else train for e, out in zip(chosen, held_out, strict=True)}
    samples = (
        replace(e, sample=replace(e.sample, split=sides[id(e)])) if id(e) in sides else e
        for e in raw.samples
    )
    return replace(raw, samples=tuple(samples))


def hold_out_listed(
    raw: RawDataset, train: str, val: str, path: Path, ids: Collection[str]
) -> RawDataset:
    """Return a data set whose splits are the listed images and all others of the two splits.

    Args:
        train: A split of the data set, and the new split of the images that are not listed. If
            there is none of this name and only one split, that one.
        val: A split of the data set, if there is one of this name, and the split of the listed.
        path: File of the list, for messages.
        ids: Images to hold out.

    Raises:
        InputError: A listed image is in neither split, or an id is in both.
    """
    chosen = _entries_of(raw, train, val)
    known = Counter(entry.sample.id for entry in chosen)
    if twice := [id for id, count in known.items() if count > 1]:
        rule, remedy = f"different in {train!r} and {val!r}", "rename one of the images"
        raise InputError("image ids", rule, f"{twice[0]!r} in both", remedy)
    if unknown := sorted({*ids} - known.keys()):
        rule = f"made of images of the splits {train!r} and {val!r}"
        raise InputError(f"data.held_out {path}", rule, repr(unknown[0]), "correct the list")
    listed = {*ids}
    samples = (
        replace(e, sample=replace(e.sample, split=val if e.sample.id in listed else train))
        for e in chosen
    )
    return replace(raw, samples=tuple(samples))


def fold_ids(raw: RawDataset, train: str, val: str, count: int) -> list[list[str]]:
    """Return the image ids of each fold of a cross-validation over two splits.

    Every class is in as many folds as possible. The folds depend on the images' ids and classes
    only, not on their order.

    Args:
        train: As for ``hold_out_listed``.
        val: As for ``hold_out_listed``.
        count: Number of folds, at least two.

    Raises:
        InputError: There are fewer images than folds.

    References:
        Sechidis et al., On the Stratification of Multi-label Data, ECML PKDD 2011.
    """
    chosen = _entries_of(raw, train, val)
    if not 2 <= count <= len(chosen):
        rule, got = f"from 2 to {len(chosen)}, the number of images", count
        raise InputError("number of folds", rule, got, "change it")
    ids = [entry.sample.id for entry in chosen]
    fold_of = stratify(shown_classes(raw, chosen), ids, np.full(count, 1 / count))
    return [
        sorted(id for id, of in zip(ids, fold_of, strict=True) if of == n) for n in range(count)
    ]


def _entries_of(raw: RawDataset, train: str, val: str) -> list[RawSample]:
    known = tuple(dict.fromkeys(entry.sample.split for entry in raw.samples))
    used = {matching_split(name, known) for name in (train, val)} & {*known}
    if not used and len(known) == 1:
        used = {*known}
    if not used:
        remedy = split_remedy(train, (train, val), known)
        raise InputError(f"split {train!r}", "a split with images", "no image", remedy)
    return [entry for entry in raw.samples if entry.sample.split in used]


def divide(shows: NDArray[np.bool_], groups: Sequence[str], share: float) -> NDArray[np.bool_]:
    """Return which images are held out, by iterative stratification.

    The rarest class is distributed first, then the rarest of the remaining images, and so on; each
    group goes where more images of that class are wanted. Images without any class are treated as
    one more class.

    Args:
        shows: (N, C) whether each image shows each class.
        groups: Group of each image, at least two.
        share: Share of the images that are held out, above 0 and below 1.

    Returns:
        (N,) bool.

    Example:
        >>> shows = np.array([[True, False]] * 4 + [[False, True]] * 6)
        >>> held_out = divide(shows, [str(n) for n in range(10)], 0.5)
        >>> shows[held_out].sum(axis=0).tolist()
        [2, 3]
    """
    counts, sizes, place = _units(shows, groups)
    held_out = _stratified(counts, sizes, np.array([1 - share, share])) == 1
    return _repaired(held_out, counts)[place]


def stratify(
    shows: NDArray[np.bool_], groups: Sequence[str], shares: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return the part of each image, (N,), as ``divide`` does for parts of the given shares."""
    counts, sizes, place = _units(shows, groups)
    return _stratified(counts, sizes, shares)[place]


def _units(
    shows: NDArray[np.bool_], groups: Sequence[str]
) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.intp]]:
    """Return the images of each class in each of U groups, their sizes, and each image's group."""
    names, unit_of = np.unique(np.array(groups), return_inverse=True)
    shows = np.column_stack([shows, ~shows.any(axis=1)])
    counts = np.zeros((len(names), shows.shape[1]), int)
    np.add.at(counts, unit_of, shows)
    sizes = np.bincount(unit_of)
    # Larger groups first; equal ones in the order of a hash, which the files' order cannot change.
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in names.tolist()]
    order = np.lexsort((np.array(hashes), -sizes))
    return counts[order], sizes[order], np.argsort(order)[unit_of]


def _stratified(
    counts: NDArray[np.int_], sizes: NDArray[np.int_], shares: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return the part of each group; ``counts`` (U, C) images of each class, ``sizes`` (U,)."""
    has = counts > 0
    # Each part wants at least the smallest group of a class.
    smallest = np.where(has, counts, counts.max(initial=1)).min(axis=0)
    wanted = np.maximum(shares[:, None] * counts.sum(axis=0), smallest).astype(float)
    room = shares * sizes.sum()
    parts, left = np.zeros(len(counts), np.intp), np.ones(len(counts), bool)
    while left.any():
        remaining = has[left].sum(axis=0)
        rarest = np.where(remaining > 0, remaining, len(counts) + 1).argmin()
        for unit in np.flatnonzero(left & has[:, rarest]):
            wishes = zip(wanted[:, rarest], room, strict=True)
            side = max(enumerate(wishes), key=lambda pair: pair[1])[0]
            parts[unit], left[unit] = side, False
            wanted[side] -= counts[unit]
            room[side] -= sizes[unit]
    return parts


def _repaired(held_out: NDArray[np.bool_], counts: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Return the sides of groups after each class that one side lacks was moved there.

    A group moves only if no class loses its last group on the other side; the smallest one moves.
    """
    has, held_out = counts > 0, held_out.copy()
    everywhere = np.column_stack([np.ones(len(has), bool), has])  # neither side is empty
    shared = everywhere.sum(axis=0) > 1
    for label in np.flatnonzero(shared):
        for side in (False, True):
            if (everywhere[:, label] & (held_out == side)).any():
                continue
            others = everywhere[held_out != side].sum(axis=0)
            movable = everywhere[:, label] & ~(everywhere & shared & (others < 2)).any(axis=1)
            if movable.any():
                held_out[np.flatnonzero(movable)[-1]] = side
    return held_out


def _groups(samples: Sequence[Sample], group: str | None) -> list[str]:
    """Return the name of the group of each image."""
    if group is None:
        return [sample.id for sample in samples]
    if group == SIMILAR:
        return similar_groups(samples)
    pattern = re.compile(group)
    matches = [pattern.search(sample.id) for sample in samples]
    if not any(matches):
        got = repr(samples[0].id)
        remedy = "correct the pattern, or set data.group=similar"
        raise InputError(f"data.group {group!r}", "found in ids of images", got, remedy)
    # An image without a group stays alone; the NUL keeps it apart from a group of its name.
    return [
        (match[1 if pattern.groups else 0] or "") if match else f"\0{sample.id}"
        for match, sample in zip(matches, samples, strict=True)
    ]


def shown_classes(raw: RawDataset, entries: Sequence[RawSample]) -> NDArray[np.bool_]:
    """Return whether each image shows each class, (N, C) without the background.

    Mask files are read only for images about which nothing else is known.
    """
    labels = raw.classes.labels
    shows = np.zeros((len(entries), len(raw.classes)), bool)
    for row, entry in zip(shows, entries, strict=True):
        row[[labels[n] for image in entry.images for n in _names(image) if n in labels]] = True
    bare = [n for n, entry in enumerate(entries) if not any(map(_is_described, entry.images))]
    if bare and "masks" not in raw.refused:
        masked = view(replace(raw, samples=tuple(entries[n] for n in bare)), "masks").samples
        numbers = {entries[n].sample.id: n for n in bare}
        for sample in masked:
            try:
                shows[numbers[sample.id], list(present_classes(sample))] = True
            except (InputError, IndexError):  # reported when the image is used
                continue
    return shows[:, 1:]


def _names(image: RawImage) -> list[str]:
    objects = [item.name for item in image.objects or ()]
    return [*objects, *(image.tags or ()), *(mark.name for mark in image.marks)]


def _is_described(image: RawImage) -> bool:
    is_drawn = any(mark.kind != "mask" for mark in image.marks)
    return image.objects is not None or image.tags is not None or is_drawn
