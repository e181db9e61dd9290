"""Problems of a data set as a whole, found without decoding an image; of ``check`` and of runs."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, zip_longest
from typing import TypeVar

from wsseg.data.annotation import MaskFile
from wsseg.data.classes import shows_object, tags_of
from wsseg.data.counts import SplitCounts
from wsseg.data.model import Classes, Problem, Sample

T = TypeVar("T")

LEAK = "the same image in two splits"
NO_OBJECT = "no object to learn from"
EVERY_IMAGE = "class in every tagged image"

_PROBE = 4096  # bytes from the middle of a file, where copies are told from files of one size


def between_images(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Yield images that stand in two splits or are stored twice, and names that collide."""
    yield from _same_names(samples)
    yield from _same_content(samples)


def missing_objects(samples: Sequence[Sample], split: str = "train") -> Iterator[Problem]:
    """Yield that the training images show no object, if that is so.

    Args:
        split: The split that is trained on; if there is none of this name, any may be.
    """
    for name, group in _training(samples, split).items():
        if any(shows_object(sample) for sample in group):
            continue
        crowds = sum(box.crowd for sample in group for box in sample.boxes)
        fault, remedy = "no image is annotated", "annotate some, or name a file in data.annotations"
        if crowds:
            fault = f"all of its {crowds} objects are crowds (iscrowd 1), whose pixels are ignored"
            remedy = "set data.crowds=objects if each is one object, or write iscrowd 0"
        elif any(sample.annotations for sample in group):
            fault = f"no annotation of its {len(group)} images names an object"
            remedy = "correct those that could not be used, or annotate images with objects"
        yield Problem(f"split {name}", f"{fault}; {remedy}", kind=NO_OBJECT)


def tags_without_contrast(
    samples: Sequence[Sample], classes: Classes, split: str = "train"
) -> Iterator[Problem]:
    """Yield the classes that every training image shows, which no classifier can learn.

    An image whose tags are unsure about a class counts as neither. Nothing is known of images with
    mask files, which are not read.

    Args:
        split: As for ``missing_objects``.
    """
    for name, group in _training(samples, split).items():
        masked = any(isinstance(a, MaskFile) for sample in group for a in sample.annotations)
        if masked or not any(sample.tags for sample in group):
            continue
        tags = [known for sample in group if (known := tags_of(sample))]
        for label, class_name in enumerate(classes.names[1:], 1):
            shown = sum(label in known.present for known in tags)
            if shown and all(label in (*known.present, *known.unsure) for known in tags):
                message = f"in every tagged image of {name}, so that a classifier cannot learn it"
                remedy = "add images without it, draw boxes, or leave it out of data.classes"
                yield Problem(f"class {class_name}", f"{message}; {remedy}", kind=EVERY_IMAGE)


def alike_classes(classes: Classes) -> Iterator[Problem]:
    """Yield the classes whose names differ in case or blanks only."""
    for group in _grouped(
        classes.names[1:], lambda name: " ".join(name.split()).casefold()
    ).values():
        if len(group) > 1:
            names = " and ".join(map(repr, group))
            message = f"{names} are different classes; if they are one, join them with data.classes"
            yield Problem("classes", message, kind="classes that differ in case or blanks only")


def unlearned_classes(splits: Sequence[SplitCounts], classes: Classes) -> Iterator[Problem]:
    """Yield the classes that some splits have no box, mark or tag of."""
    boxes = {
        split.name: [a + b for a, b in zip_longest(split.boxes, split.marked, fillvalue=0)]
        for split in splits
        if split.boxes
    }
    for name, where in _without(boxes, classes):
        message = f"no box in {where}; it cannot be learned or measured there"
        yield Problem(f"class {name}", message, kind="class without any box")
    tagged = {split.name: split.tagged for split in splits if split.tagged}
    said = set(_without({split.name: split.boxes for split in splits if split.boxes}, classes))
    for name, where in (missing for missing in _without(tagged, classes) if missing not in said):
        message = f"no image tagged so in {where}; it cannot be learned or measured there"
        yield Problem(f"class {name}", message, kind="class without any tagged image")
    if tagged and len(classes) == 2:
        message = f"{classes.names[1]} is the only one; a classifier tells it from images without"
        yield Problem("classes", f"{message} it, tagged so", kind="only one class")


def _training(samples: Sequence[Sample], split: str) -> dict[str, list[Sample]]:
    groups = _grouped(samples, lambda sample: sample.split)
    return {split: groups[split]} if split in groups else groups


def _without(counts: Mapping[str, Sequence[int]], classes: Classes) -> Iterator[tuple[str, str]]:
    """Yield the classes that some splits lack, and the names of these splits."""
    for label, name in enumerate(classes.names[1:], 1):
        if splits := [split for split, numbers in counts.items() if numbers[label] == 0]:
            yield name, "any split" if len(splits) == len(counts) else ", ".join(splits)


def _same_names(samples: Sequence[Sample]) -> Iterator[Problem]:
    for id, group in _grouped(samples, lambda sample: sample.id).items():
        for one, other in combinations(group, 2):
            splits = f"{one.split} and {other.split}"
            if one.image == other.image:
                message = f"{id} is in {splits}; figures measured on it mean nothing, remove one"
                yield Problem(id, message, fatal=True, kind=LEAK)
            else:
                message = f"{splits} each have an image {id}; rename one if both are exported"
                yield Problem(id, message, kind="one name for two images")
    for group in _grouped(samples, lambda sample: sample.id.lower()).values():
        if len(ids := sorted({sample.id for sample in group})) > 1:
            message = f"{' and '.join(ids)} are one file where case does not count; rename one"
            yield Problem(ids[0], message, kind="names that differ in case only")


def _same_content(samples: Sequence[Sample]) -> Iterator[Problem]:
    once = {sample.image: sample for sample in samples if sample.image.is_file()}.values()
    # Of many photographs, whole files are read only where size and a part of the content agree.
    alike = [[*once]]
    for key in (_size, _probe, _digest):
        groups = (_grouped(group, key).values() for group in alike)
        alike = [group for group in chain.from_iterable(groups) if len(group) > 1]
    for one, *others in alike:
        for other in others:
            message = f"{one.id} ({one.split}) and {other.id} ({other.split}) hold the same image"
            if one.split == other.split:
                yield Problem(one.id, message, kind="image stored twice")
            else:
                message += "; figures measured on it mean nothing, remove one"
                yield Problem(one.id, message, fatal=True, kind=LEAK)


def _size(sample: Sample) -> str:
    return str(sample.image.stat().st_size)


def _probe(sample: Sample) -> str:
    with sample.image.open("rb") as file:
        file.seek(max(0, sample.image.stat().st_size - _PROBE) // 2)
        return file.read(_PROBE).hex()


def _digest(sample: Sample) -> str:
    with sample.image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _grouped(items: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
