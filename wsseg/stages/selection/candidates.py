"""Read the images to choose from, the classes that they show, and which are labelled already."""

import difflib
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.bands import ImageParams
from wsseg.data.classes import has_full_mask, present_classes
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import read_ids, with_annotations
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.runs.engine import report_problems
from wsseg.runs.progress import log
from wsseg.stages.selection.params import SelectionParams

_READING = ImageParams()


@dataclass(frozen=True, eq=False)
class Candidates:
    """N images of which some are to be chosen for labelling.

    Args:
        samples: The N images.
        dataset_classes: All K + 1 classes: the background and the K object classes.
        shows: (N, K) bool, True if the annotations say that image n shows object class k.
        is_labelled: (N,) bool, True for images that are labelled already and cannot be chosen.
    """

    samples: tuple[Sample, ...]
    dataset_classes: Classes
    shows: NDArray[np.bool_]
    is_labelled: NDArray[np.bool_]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K object classes, without the background, in the order of ``shows``."""
        return self.dataset_classes.names[1:]

    def only(self, keep: NDArray[np.bool_]) -> "Candidates":
        """Return the images for which ``keep``, (N,) bool, is True."""
        samples = tuple(s for s, kept in zip(self.samples, keep, strict=True) if kept)
        return replace(
            self, samples=samples, shows=self.shows[keep], is_labelled=self.is_labelled[keep]
        )

    def are_not_in(self, ids: Container[str]) -> NDArray[np.bool_]:
        """Return (N,) bool, True for images whose id is not among ``ids``."""
        return np.array([sample.id not in ids for sample in self.samples], bool)

    def classes_of(self, image: int) -> tuple[str, ...]:
        """Return the names of the object classes that the image at an index 0..N-1 shows."""
        return tuple(np.array(self.class_names, object)[self.shows[image]])

    def check_budget(self, budget: int) -> None:
        """Check that there are at least ``budget`` images without labels.

        Raises:
            InputError: There are fewer.
        """
        left = int((~self.is_labelled).sum())
        if budget > left:
            rule = f"at most {left}, the usable images that are not labelled"
            raise InputError("--budget", rule, budget, "lower it")


def read_candidates(
    params: SelectionParams, reading: ImageParams = _READING
) -> tuple[Candidates, dict[str, str]]:
    """Return the images of ``params.split``, of which some are to be chosen.

    Images are labelled if ``params.labelled`` lists them or they have a full mask.

    Args:
        reading: Range and bands that the images are read with.

    Returns:
        The usable images, and for each unusable one its id and the reason.

    Raises:
        InputError: The data set cannot be read, the split is empty, an id is unknown, or there are
            fewer images than the budget.
    """
    dataset = read_dataset(params.dataset, params.format, [params.split], "all")
    if params.annotations:
        dataset = with_annotations(dataset, params.annotations)
    report_problems([problem for problem in dataset.problems if problem.fatal], strict=False)
    split = dataset.split(params.split)
    labels, skipped = _labels_of(split)
    samples = tuple(replace(s, reading=reading) for s in split if s.id in labels)
    shows = np.zeros((len(samples), len(dataset.classes)), bool)
    for number, sample in enumerate(samples):
        shows[number, list(labels[sample.id])] = True
    ids = [sample.id for sample in split]
    listed = {*read_known_ids(params.labelled, ids)} if params.labelled else set()
    is_labelled = [sample.id in listed or has_full_mask(sample) for sample in samples]
    candidates = Candidates(samples, dataset.classes, shows[:, 1:], np.array(is_labelled, bool))
    candidates.check_budget(params.budget)
    return candidates, skipped


def read_known_ids(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    """Return the ids that a file lists, such as ``selected.txt``.

    Args:
        path: File with one id per line.
        known: Ids of the data set.

    Returns:
        The ids in the order of the file, each once.

    Raises:
        InputError: The file is missing or not UTF-8, or an id is unknown.
    """
    ids = read_ids(path)
    for unknown in sorted({*ids} - {*known}):
        nearest = difflib.get_close_matches(unknown, known, 1, 0)
        remedy = f"did you mean {nearest[0]!r}?" if nearest else "remove it"
        raise InputError(f"{path}", "ids of images of the split", repr(unknown), remedy)
    return ids


def _labels_of(samples: Sequence[Sample]) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Return the labels that each image shows, and the reasons for unusable images."""
    labels, skipped = {}, {}
    for sample in samples:
        try:
            if sample.id.splitlines() != [sample.id]:
                raise InputError("image id", "one line", repr(sample.id), "rename the image")
            labels[sample.id] = present_classes(sample)
        except InputError as error:
            skipped[sample.id] = str(error)
            log(f"skipped {sample.id!r}: {error}")
    return labels, skipped
