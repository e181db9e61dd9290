"""Choose, merge and rename the classes of a data set as ``data.classes`` says."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from wsseg.data.formats.raw import RawDataset, RawFile, RawImage, RawMark, RawObject
from wsseg.data.formats.reading import is_background
from wsseg.data.model import Classes
from wsseg.errors import InputError

_BACKGROUND = "background"
_DRAWN = ("point", "scribble", "polygon", "runs")


@dataclass(frozen=True)
class Renaming:
    """New names of classes.

    Args:
        before: The classes in the files of the data set.
        after: The classes that are used.
        names: New name of each class of ``before``; "background" if the class is dropped.
    """

    before: Classes
    after: Classes
    names: Mapping[str, str]

    @property
    def labels(self) -> tuple[int, ...]:
        """New label of each old one, for ``MaskFile.labels``."""
        return tuple(self.after.index(self.names[name]) for name in self.before)

    def __call__(self, name: str) -> str:
        """Return the new name of a class; unknown names, and new ones, stay as they are.

        A name in another case counts if only one class can be meant.
        """
        if name in self.names or name in self.after.labels:
            return self.names.get(name, name)
        meant = self._by_folded_case.get(name.strip().casefold(), [])
        return self.names[meant[0]] if len(meant) == 1 else name

    @cached_property
    def _by_folded_case(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.names:
            found.setdefault(name.casefold(), []).append(name)
        return found


def renaming_of(chosen: Mapping[str, Sequence[str]], before: Classes) -> Renaming:
    """Return the renaming that ``data.classes`` describes.

    Args:
        chosen: Old names by new name, in the order of the new labels; those of "background", and
            those that are not listed, are dropped.
        before: The classes in the files of the data set.

    Raises:
        InputError: An old name is unknown, or a new one is the name of another class of the data.

    Example:
        >>> before = Classes(("background", "cow", "sheep", "car", "sky"))
        >>> renaming = renaming_of({"animal": ["cow", "sheep"], "car": ["car"]}, before)
        >>> renaming.after.names, renaming("sheep"), renaming("sky"), renaming.labels
        (('background', 'animal', 'car'), 'animal', 'background', (0, 1, 1, 2, 0))
    """
    names = dict.fromkeys(before, _BACKGROUND)
    for new, olds in chosen.items():
        for old in olds:
            if old not in before.labels and not is_background(old):
                nearest = difflib.get_close_matches(old, before.names[1:], 1, 0)
                known = ", ".join(before.names[1:9])
                sentence = f"data.classes names {old!r}, which the data set does not have"
                raise InputError(sentence, hint=f"did you mean {nearest[0]!r}? Known: {known}")
            names[old] = _BACKGROUND if is_background(new) else new
        if new in before.labels and new not in olds:
            sentence = f"data.classes makes {new!r} of {', '.join(olds)}"
            sentence = f"{sentence}, but the data set has another class {new!r}"
            raise InputError(sentence, hint=f"add {new} to that list, or choose another new name")
    after = Classes((_BACKGROUND, *(new for new in chosen if not is_background(new))))
    return Renaming(before, after, names)


def _composed(first: Sequence[int] | None, then: Sequence[int]) -> tuple[int, ...]:
    """Return the label of each value of a mask file whose labels are renamed."""
    values = range(len(then)) if first is None else first
    return tuple(then[value] if value < len(then) else value for value in values)


def rename_dataset(raw: RawDataset, renaming: Renaming) -> RawDataset:
    """Return a data set with the new classes.

    Of a dropped class, objects, boxes and tags are removed, and points, scribbles, polygons and
    masks become background: there is none of the classes that remain.
    """
    labels = renaming.labels
    samples = (
        replace(entry, images=tuple(_image(i, renaming, labels) for i in entry.images))
        for entry in raw.samples
    )
    samples = (replace(s, labels=_composed(s.labels, labels)) if s.mask else s for s in samples)
    images = tuple(_image(image, renaming, labels) for image in raw.images)
    return replace(
        raw,
        classes=renaming.after,
        files_classes=renaming.before,
        samples=tuple(samples),
        images=images,
    )


def rename_file(content: RawFile, renaming: Renaming) -> RawFile:
    """Return a file that is laid over a data set with the new classes.

    The file may name the old classes, or the new ones as labels do that a run exported. Its masks
    are numbered by the classes that it lists; if it lists none, by the old ones.
    """
    listed = tuple(name for name in content.names if not is_background(name))
    is_old = listed in {(), renaming.before.names[1:]} and listed != renaming.after.names[1:]
    labels = renaming.labels if is_old else None
    images = tuple(_image(image, renaming, labels) for image in content.images)
    names = renaming.after.names[1:] if is_old and listed else content.names
    return replace(content, images=images, names=names)


def _image(image: RawImage, renaming: Renaming, labels: tuple[int, ...] | None) -> RawImage:
    marks = tuple(m for mark in image.marks for m in _mark(mark, renaming, labels))
    image = replace(image, marks=marks)
    if image.objects is not None:
        objects = (item for one in image.objects for item in _object(one, renaming))
        image = replace(image, objects=tuple(objects))
    if image.tags is None and not image.unsure:
        return image
    tags, unsure = _tags(image.tags or (), renaming), _tags(image.unsure, renaming)
    if image.tags_are_remarks and {*(image.tags or ()), *image.unsure} & {*renaming.before.labels}:
        # Some remarks are classes, so they count as tags even if all of these are dropped.
        tags = tuple(name for name in tags if name in renaming.after.labels)
        image = replace(image, tags_are_remarks=False)
    unsure = tuple(name for name in unsure if name not in tags)
    return replace(image, tags=None if image.tags is None else tags, unsure=unsure)


def _tags(names: Sequence[str], renaming: Renaming) -> tuple[str, ...]:
    """Return the new names, each once, without those of dropped classes."""
    renamed = dict.fromkeys(map(renaming, names))
    return tuple(name for name in renamed if not is_background(name))


def _mark(mark: RawMark, renaming: Renaming, labels: tuple[int, ...] | None) -> Iterator[RawMark]:
    name = renaming(mark.name)
    if mark.kind == "mask":
        yield replace(mark, labels=labels)
    elif not is_background(name) or is_background(mark.name) or mark.kind in _DRAWN:
        yield replace(mark, name=name)


def _object(item: RawObject, renaming: Renaming) -> Iterator[RawObject]:
    if not is_background(name := renaming(item.name)):
        yield replace(item, name=name)
