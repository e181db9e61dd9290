"""What is wrong with a data set, in a person's words."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

from wsseg.annotations.examine import examine
from wsseg.annotations.model import Classes, Dataset, Problem, Sample
from wsseg.annotations.readers import detect_format, read_dataset
from wsseg.run.engine import SetAside, map_samples

_SHOWN = 3
_LEAK = "the same image in two splits"


@dataclass(frozen=True)
class SplitCounts:
    """How much a split holds.

    Args:
        name: Such as "train".
        images: Number of images.
        annotated: Number of images with an annotation, such as one that says "no object".
        boxes: Number of boxes of each class, background (0) first.
        images_with: Number of images with a box of each class, background (0) first.
    """

    name: str
    images: int
    annotated: int
    boxes: tuple[int, ...]
    images_with: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """A data set's content and what is wrong with it.

    Args:
        format: A key of ``READERS``.
        classes: The class names.
        splits: Counts of each split.
        problems: Errors (``fatal``) and warnings.
    """

    format: str
    classes: Classes
    splits: tuple[SplitCounts, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep an image or the data set from being used."""
        return tuple(problem for problem in self.problems if problem.fatal)

    def lines(self, most: int | None = _SHOWN) -> list[str]:
        """Return the report for a person.

        Args:
            most: How many problems of one kind are listed; None lists all.

        Returns:
            Lines without line breaks.
        """
        warnings = [problem for problem in self.problems if not problem.fatal]
        counts = f"{len(self.errors)} errors, {len(warnings)} warnings"
        return [
            f"format {self.format}, {len(self.classes) - 1} classes and background",
            *(line for split in self.splits for line in _split_lines(split, self.classes)),
            *_problem_lines("error", self.errors, most),
            *_problem_lines("warning", warnings, most),
            counts,
        ]


def check_dataset(
    root: Path, format: str = "auto", deep: bool = True, workers: int | None = None
) -> Report:
    """Return what a data set holds and all that is wrong with it.

    Args:
        root: The data set's folder.
        format: A key of ``READERS``, or "auto" to find out.
        deep: Decode every image and mask; otherwise only headers are read.
        workers: Processes; None is one a core.

    Returns:
        The report; its problems are the readers', then those of each image, then those between
        images, in the data set's order.

    Raises:
        InputError: As ``read_dataset``.
    """
    format = detect_format(root) if format == "auto" else format
    boxes, masks = (read_dataset(root, format, use=use) for use in ("boxes", "masks"))
    problems = [
        *dict.fromkeys((*boxes.problems, *masks.problems)),
        *_of_images(_both(boxes, masks), boxes.classes, deep, workers),
        *_same_names(boxes.samples),
        *_same_content(boxes.samples),
    ]
    names = dict.fromkeys(sample.split for sample in boxes.samples)
    splits = tuple(_counts(name, boxes) for name in names)
    problems += _classes_without_box(splits, boxes.classes)
    return Report(format, boxes.classes, splits, tuple(problems))


def _both(boxes: Dataset, masks: Dataset) -> list[Sample]:
    """Return the samples with their boxes and masks."""
    found = {(sample.split, sample.id): sample.annotations for sample in masks.samples}
    return [
        replace(s, annotations=(*s.annotations, *found.get((s.split, s.id), ())))
        for s in boxes.samples
    ]


def _of_images(
    samples: Sequence[Sample], classes: Classes, deep: bool, workers: int | None
) -> list[Problem]:
    once = list({sample.image: sample for sample in samples}.values())
    function = partial(_examined, names=classes.names, deep=deep)
    found: dict[Path, Sequence[Problem]] = {}
    for result in map_samples(function, once, workers, strict=True):
        if not isinstance(result, SetAside):
            found[result[0]] = result[1]
    return [problem for sample in once for problem in found[sample.image]]


def _examined(
    sample: Sample, names: tuple[str, ...], deep: bool
) -> tuple[Path, tuple[Problem, ...]]:
    return sample.image, examine(sample, names, deep)


def _same_names(samples: Sequence[Sample]) -> Iterator[Problem]:
    for id, group in _grouped(samples, lambda sample: sample.id).items():
        for one, other in combinations(group, 2):
            splits = f"{one.split} and {other.split}"
            if one.image == other.image:
                message = f"{id} is in {splits}; figures measured on it mean nothing, remove one"
                yield Problem(id, message, fatal=True, kind=_LEAK)
            else:
                message = f"{splits} each have an image {id}; rename one if both are exported"
                yield Problem(id, message, kind="one name for two images")
    for group in _grouped(samples, lambda sample: sample.id.lower()).values():
        if len(ids := sorted({sample.id for sample in group})) > 1:
            message = f"{' and '.join(ids)} are one file where case does not count; rename one"
            yield Problem(ids[0], message, kind="names that differ in case only")


def _same_content(samples: Sequence[Sample]) -> Iterator[Problem]:
    once = {sample.image: sample for sample in samples if sample.image.is_file()}.values()
    by_size = _grouped(once, lambda sample: str(sample.image.stat().st_size))
    for same_size in by_size.values():
        if len(same_size) == 1:
            continue
        for group in _grouped(same_size, lambda sample: _digest(sample.image)).values():
            yield from (_copies(group[0], other) for other in group[1:])


def _copies(one: Sample, other: Sample) -> Problem:
    places = f"{one.id} ({one.split}) and {other.id} ({other.split})"
    if one.split == other.split:
        return Problem(one.id, f"{places} hold the same image", kind="image stored twice")
    message = f"{places} hold the same image; figures measured on it mean nothing, remove one"
    return Problem(one.id, message, fatal=True, kind=_LEAK)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _grouped(samples: Iterable[Sample], key: Callable[[Sample], str]) -> dict[str, list[Sample]]:
    groups = defaultdict(list)
    for sample in samples:
        groups[key(sample)].append(sample)
    return dict(groups)


def _counts(name: str, dataset: Dataset) -> SplitCounts:
    samples = dataset.split(name)
    boxes = Counter(box.label for sample in samples for box in sample.boxes)
    images = Counter(label for s in samples for label in {box.label for box in s.boxes})
    labels = range(len(dataset.classes))
    return SplitCounts(
        name,
        len(samples),
        sum(bool(sample.annotations) for sample in samples),
        tuple(boxes[label] for label in labels),
        tuple(images[label] for label in labels),
    )


def _classes_without_box(splits: Sequence[SplitCounts], classes: Classes) -> Iterator[Problem]:
    for label, name in enumerate(classes.names[1:], 1):
        without = [split.name for split in splits if split.boxes[label] == 0]
        if without:
            where = "any split" if len(without) == len(splits) else ", ".join(without)
            message = f"no box in {where}; it cannot be learned or measured there"
            yield Problem(f"class {name}", message, kind="class without any box")


def _split_lines(split: SplitCounts, classes: Classes) -> Iterator[str]:
    bare = split.images - split.annotated
    note = f", {bare} of them not annotated" if bare else ""
    yield f"{split.name}: {split.images} images{note}, {sum(split.boxes)} boxes"
    for label, name in enumerate(classes.names[1:], 1):
        yield f"  {name}: {split.boxes[label]} boxes in {split.images_with[label]} images"


def _problem_lines(title: str, problems: Sequence[Problem], most: int | None) -> Iterator[str]:
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    for kind, group in kinds.items():
        yield f"{title}: {kind} ({len(group)})"
        yield from (f"  {problem.subject}: {problem.message}" for problem in group[:most])
        if most is not None and len(group) > most:
            yield f"  and {len(group) - most} more; --all lists them"
