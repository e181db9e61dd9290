"""The images to choose from: what they show, and which of them are labelled already."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wsseg.data.classes import has_full_mask, present_classes
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import with_annotations
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.networks.prediction import check_classes
from wsseg.runs.engine import announce
from wsseg.runs.progress import say
from wsseg.stages.selection.settings import SelectionSettings, read_known_ids


@dataclass(frozen=True, eq=False)
class Candidates:
    """N images, what they show, and which of them are labelled already.

    Args:
        samples: The images.
        dataset_classes: Background and K object classes.
        shows: (N, K) bool: whether something says that image n shows class k.
        is_labelled: (N,) bool.
    """

    samples: tuple[Sample, ...]
    dataset_classes: Classes
    shows: NDArray[np.bool_]
    is_labelled: NDArray[np.bool_]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K object classes."""
        return self.dataset_classes.names[1:]

    def only(self, keep: NDArray[np.bool_]) -> "Candidates":
        """Return some of the images.

        Args:
            keep: (N,) bool.

        Returns:
            Those, in their order.
        """
        samples = tuple(s for s, kept in zip(self.samples, keep, strict=True) if kept)
        return replace(
            self, samples=samples, shows=self.shows[keep], is_labelled=self.is_labelled[keep]
        )

    def names_of(self, image: int) -> list[str]:
        """Return the names of the classes that an image shows.

        Args:
            image: Its place.
        """
        return [name for name, shown in zip(self.classes, self.shows[image], strict=True) if shown]

    def without(self, bad: Container[str]) -> NDArray[np.bool_]:
        """Return which images are not among some.

        Args:
            bad: Ids.

        Returns:
            (N,) bool.
        """
        return np.array([sample.id not in bad for sample in self.samples], bool)

    def check_budget(self, budget: int) -> None:
        """Refuse to choose more images than there are.

        Args:
            budget: Images to choose.

        Raises:
            InputError: There are fewer that are not labelled.
        """
        left = int((~self.is_labelled).sum())
        if budget > left:
            rule = f"at most {left}, the images that can be used and are not labelled"
            raise InputError("--budget", rule, budget, "lower it")


def read_candidates(settings: SelectionSettings) -> tuple[Candidates, dict[str, str]]:
    """Return the images to choose from.

    Args:
        settings: Where they lie, what is laid over them, and which are labelled.

    Returns:
        The images, and those that cannot be used, with what is wrong with them.

    Raises:
        InputError: As ``read_dataset``, the split is empty, an id is unknown, there are fewer
            images than the budget, or the run knows other classes.
    """
    dataset = read_dataset(settings.dataset, settings.format, [settings.split], "all")
    if settings.annotations:
        dataset = with_annotations(dataset, settings.annotations)
    announce([problem for problem in dataset.problems if problem.fatal], strict=False)
    given = dataset.split(settings.split)
    named, set_aside = _named(given)
    samples = tuple(sample for sample in given if sample.id in named)
    shows = np.zeros((len(samples), len(dataset.classes)), bool)
    for number, sample in enumerate(samples):
        shows[number, list(named[sample.id])] = True
    known = [sample.id for sample in given]
    listed = read_known_ids(settings.labelled, known) if settings.labelled else ()
    done = [sample.id in {*listed} or has_full_mask(sample) for sample in samples]
    found = Candidates(samples, dataset.classes, shows[:, 1:], np.array(done, bool))
    found.check_budget(settings.budget)
    if settings.uncertainty and settings.checkpoint:
        check_classes(f"--run {settings.run}", settings.checkpoint, dataset.classes)
    return found, set_aside


def _named(samples: Sequence[Sample]) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """The classes of each image, and what is wrong with the images of which nobody can tell."""
    named, bad = {}, {}
    for sample in samples:
        try:
            named[sample.id] = present_classes(sample)
            _check_line(sample.id)
        except InputError as error:
            bad[sample.id] = str(error)
            say(f"set aside {sample.id!r}: {error}")
    return {id: labels for id, labels in named.items() if id not in bad}, bad


def _check_line(identity: str) -> None:
    if identity.splitlines() != [identity]:
        raise InputError("image id", "one line", repr(identity), "rename the image")
