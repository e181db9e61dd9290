"""Check a data set: count its annotations and find its problems."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wsseg.bands import ImageParams
from wsseg.data.counts import SplitCounts, split_counts, split_lines, with_masks
from wsseg.data.examine import examine
from wsseg.data.findings import (
    alike_classes,
    between_images,
    missing_objects,
    tags_without_contrast,
    unlearned_classes,
)
from wsseg.data.formats.files import opening_once
from wsseg.data.formats.paths import following_links
from wsseg.data.formats.table import read_raw
from wsseg.data.formats.views import view
from wsseg.data.load import joined, lay_over, read_base, with_annotations, with_reading
from wsseg.data.model import Classes, Problem, Sample
from wsseg.data.params import DataParams
from wsseg.parallel import Skipped, map_locally

_READING = ImageParams()
_SHOWN = 3


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
    with following_links(isinstance(data, DataParams) and data.links):
        raw = read_raw(data, format) if isinstance(data, Path) else read_base(data)
        weak, masks = view(raw, "all"), view(raw, "masks")
        if isinstance(data, DataParams):
            weak, reading = lay_over(weak, data, raw.files_classes), data.reading
    classes = raw.classes
    if annotations:
        weak = with_annotations(weak, annotations)
    both = joined(weak, masks)
    problems = [
        *dict.fromkeys((*weak.problems, *masks.problems)),
        *_of_images(with_reading(both, reading).samples, classes, deep, workers),
        *between_images(weak.samples),
    ]
    split_names = {sample.split for sample in weak.samples}
    names = sorted(split_names, key=lambda name: (name != "train", name))
    splits = tuple(
        with_masks(split_counts(weak.split(name), len(classes)), masks.samples) for name in names
    )
    train = data.train if isinstance(data, DataParams) else "train"
    problems += [*alike_classes(classes), *unlearned_classes(splits, classes)]
    problems += tags_without_contrast(weak.samples, classes, train)
    problems += missing_objects(both.samples, train)
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


def _problem_lines(title: str, problems: Sequence[Problem], most: int | None) -> Iterator[str]:
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    for kind, group in kinds.items():
        yield f"{title}: {kind} ({len(group)})"
        yield from (f"  {problem}" for problem in group[:most])
        if most is not None and len(group) > most:
            yield f"  and {len(group) - most} more; --all lists them"
