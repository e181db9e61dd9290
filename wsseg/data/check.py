"""Check a data set: count its annotations and find its problems."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations, zip_longest
from pathlib import Path

from wsseg.bands import ImageParams
from wsseg.data.counts import SplitCounts, split_counts, split_lines, with_masks
from wsseg.data.examine import examine
from wsseg.data.formats.files import opening_once
from wsseg.data.formats.table import read_raw
from wsseg.data.formats.views import view
from wsseg.data.load import joined, lay_over, read_base, with_annotations, with_reading
from wsseg.data.model import Classes, Problem, Sample
from wsseg.data.params import DataParams
from wsseg.parallel import Skipped, map_locally

_READING = ImageParams()
_SHOWN = 3
_LEAK = "the same image in two splits"


@dataclass(frozen=True)
class Report:
    """The contents of a data set and its problems: errors (``fatal``) and warnings."""

    format: str
    classes: Classes
    splits: tuple[SplitCounts, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that keep an image or the data set from being used."""
        return tuple(problem for problem in self.problems if problem.fatal)

    def lines(self, most: int | None = _SHOWN) -> list[str]:
        """Return the report as lines for a person.

        Args:
            most: Number of problems of each kind that are listed; None lists all.
        """
        warnings = [problem for problem in self.problems if not problem.fatal]
        counts = f"{len(self.errors)} errors, {len(warnings)} warnings"
        return [
            f"format {self.format}, {len(self.classes) - 1} classes and background",
            *(line for split in self.splits for line in split_lines(split, self.classes)),
            *_problem_lines("error", self.errors, most),
            *_problem_lines("warning", warnings, most),
            counts,
        ]


@opening_once()
def check_dataset(
    data: Path | DataParams,
    format: str = "auto",
    deep: bool = True,
    workers: int | None = None,
    annotations: Sequence[Path] = (),
    *,
    reading: ImageParams = _READING,
) -> Report:
    """Return the contents of a data set and all its problems.

    Args:
        data: Folder of a data set; or the settings of a run, whose splits, classes and files that
            are laid over the data set apply.
        format: A name in ``READABLE``, or "auto" to detect it; the settings have their own.
        deep: Decode every image and mask; otherwise only headers are read.
        workers: Number of processes; None: one per core.
        annotations: Files that are laid over the data set, see ``with_annotations``.
        reading: Range and bands that the images are read with; the settings have their own.

    Returns:
        The report. The problems of the readers come first, then those of each image, then those
        between images, in the data set's order.

    Raises:
        InputError: As ``read_raw`` and ``with_annotations``.
    """
    raw = read_raw(data, format) if isinstance(data, Path) else read_base(data)
    weak, masks = view(raw, "all"), view(raw, "masks")
    classes = raw.classes
    if isinstance(data, DataParams):
        weak, reading = lay_over(weak, data, raw.files_classes), data.reading
    if annotations:
        weak = with_annotations(weak, annotations)
    problems = [
        *dict.fromkeys((*weak.problems, *masks.problems)),
        *_of_images(with_reading(joined(weak, masks), reading).samples, classes, deep, workers),
        *_same_names(weak.samples),
        *_same_content(weak.samples),
    ]
    names = dict.fromkeys(sample.split for sample in weak.samples)
    splits = tuple(
        with_masks(split_counts(weak.split(name), len(classes)), masks.samples) for name in names
    )
    problems += [*_classes_without_box(splits, classes), *_tags_to_learn_from(splits, classes)]
    return Report(raw.format, classes, splits, tuple(problems))


def _of_images(
    samples: Sequence[Sample], classes: Classes, deep: bool, workers: int | None
) -> list[Problem]:
    once = list({sample.image: sample for sample in samples}.values())
    function = partial(_examined, names=classes.names, deep=deep)
    results = map_locally(function, once, workers, strict=True)
    problems = dict(result for result in results if not isinstance(result, Skipped))
    return [problem for sample in once for problem in problems[sample.image]]


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
    candidates = (group for group in by_size.values() if len(group) > 1)
    copies = (_grouped(group, lambda s: _digest(s.image)).values() for group in candidates)
    for one, *others in chain.from_iterable(copies):
        for other in others:
            message = f"{one.id} ({one.split}) and {other.id} ({other.split}) hold the same image"
            if one.split == other.split:
                yield Problem(one.id, message, kind="image stored twice")
            else:
                message += "; figures measured on it mean nothing, remove one"
                yield Problem(one.id, message, fatal=True, kind=_LEAK)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _grouped(samples: Iterable[Sample], key: Callable[[Sample], str]) -> dict[str, list[Sample]]:
    groups = defaultdict(list)
    for sample in samples:
        groups[key(sample)].append(sample)
    return dict(groups)


def _classes_without_box(splits: Sequence[SplitCounts], classes: Classes) -> Iterator[Problem]:
    boxes = {
        split.name: [a + b for a, b in zip_longest(split.boxes, split.marked, fillvalue=0)]
        for split in splits
        if split.boxes
    }
    for name, where in _without(boxes, classes):
        message = f"no box in {where}; it cannot be learned or measured there"
        yield Problem(f"class {name}", message, kind="class without any box")


def _without(counts: Mapping[str, Sequence[int]], classes: Classes) -> Iterator[tuple[str, str]]:
    """Yield the classes that some splits lack, and the names of these splits."""
    for label, name in enumerate(classes.names[1:], 1):
        if splits := [split for split, numbers in counts.items() if numbers[label] == 0]:
            yield name, "any split" if len(splits) == len(counts) else ", ".join(splits)


def _tags_to_learn_from(splits: Sequence[SplitCounts], classes: Classes) -> Iterator[Problem]:
    tagged = {split.name: split.tagged for split in splits if split.tagged}
    said = set(_without({split.name: split.boxes for split in splits if split.boxes}, classes))
    for name, where in (missing for missing in _without(tagged, classes) if missing not in said):
        message = f"no image tagged so in {where}; it cannot be learned or measured there"
        yield Problem(f"class {name}", message, kind="class without any tagged image")
    trained = [split for split in splits if split.tagged and split.name == "train"]
    # A run may learn from any split of a data set without a split "train".
    for split in trained or [split for split in splits if split.tagged]:
        for label, name in enumerate(classes.names[1:], 1):
            if split.tagged[label] and split.tagged[label] + split.unsure[label] == split.with_tags:
                message = f"in every tagged image of {split.name}; a classifier learns it only"
                message = f"{message} from images without it too: add some, or leave the class out"
                message = f"{message} with data.classes"
                yield Problem(f"class {name}", message, kind="class in every tagged image")
    if tagged and len(classes) == 2:
        message = f"{classes.names[1]} is the only one; a classifier tells it from images without"
        yield Problem("classes", f"{message} it, tagged so", kind="only one class")


def _problem_lines(title: str, problems: Sequence[Problem], most: int | None) -> Iterator[str]:
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    for kind, group in kinds.items():
        yield f"{title}: {kind} ({len(group)})"
        yield from (f"  {problem}" for problem in group[:most])
        if most is not None and len(group) > most:
            yield f"  and {len(group) - most} more; --all lists them"
