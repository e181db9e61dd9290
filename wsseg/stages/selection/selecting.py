"""Choosing the images to label, from a data set on disk to a list."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wsseg
from wsseg.data.params import DataParams
from wsseg.networks.params import MachineParams
from wsseg.runs.config import Config
from wsseg.runs.stage import Run
from wsseg.stages.predict import checkpoint_of
from wsseg.stages.selection.candidates import Candidates, read_candidates
from wsseg.stages.selection.choosers import METHODS, Choice, Pool, choose, weighted
from wsseg.stages.selection.coverage import Coverage, coverage, random_coverage
from wsseg.stages.selection.embeddings import Embeddings, embed_images, embeddings_of
from wsseg.stages.selection.folder import opened, write_lists
from wsseg.stages.selection.quota import Quota, default_quota
from wsseg.stages.selection.settings import SelectionSettings
from wsseg.stages.selection.uncertainty import measure_uncertainty, uncertainties_of


@dataclass(frozen=True, eq=False)
class Selection:
    """The images to label, and how they were chosen.

    Attributes:
        settings: What was asked for.
        candidates: The N images that could be used.
        embeddings: Of these.
        choice: The chosen ones.
        quota: Images that each class was to be in.
        uncertainty: (N,) float64, NaN where it is not known; None where nobody asked.
        covered: How well the chosen images stand for all.
        at_random: The same of images drawn blindly.
        notes: What a person should know, such as quotas that could not be met.
        set_aside: Images that could not be used, and why.
    """

    settings: SelectionSettings
    candidates: Candidates
    embeddings: Embeddings
    choice: Choice
    quota: int
    uncertainty: NDArray[np.float64] | None
    covered: Coverage
    at_random: Coverage
    notes: tuple[str, ...]
    set_aside: dict[str, str]

    def rows(self) -> list[dict[str, Any]]:
        """Return what is known of each chosen image, in order.

        Returns:
            "rank" from 1, "id", "path", "classes", "distance" to the nearest one chosen before,
            infinite for the first, and "uncertainty" where it was measured.
        """
        rows = []
        for rank, image in enumerate(self.choice.order.tolist(), 1):
            sample = self.candidates.samples[image]
            row: dict[str, Any] = {"rank": rank, "id": sample.id, "path": str(sample.image)}
            row["classes"] = ";".join(self.candidates.names_of(image))
            row["distance"] = float(self.choice.distances[rank - 1])
            if self.uncertainty is not None:
                row["uncertainty"] = float(self.uncertainty[image])
            rows.append(row)
        return rows

    def lines(self) -> list[str]:
        """Return the selection in short, for a person."""
        labelled = int(self.candidates.is_labelled.sum())
        return [
            f"{len(self.choice.order)} of {len(self.candidates.samples)} images chosen by "
            f"{self.settings.method}, {labelled} labelled before",
            f"classes shown: {self.covered.classes:.0f} of "
            f"{int(self.candidates.shows.any(axis=0).sum())} (at random "
            f"{self.at_random.classes:.1f}), quota {self.quota}",
            f"distance to the nearest chosen or labelled image: largest {self.covered.largest:.3f} "
            f"(at random {self.at_random.largest:.3f}), mean {self.covered.mean:.3f} "
            f"({self.at_random.mean:.3f})",
            *self.notes,
        ]


def select_images(settings: SelectionSettings) -> Selection:
    """Choose images, and write ``selected.txt``, ``selected.csv`` and ``selection.json``.

    Args:
        settings: What is asked for.

    Returns:
        The selection.

    Raises:
        InputError: Settings that do not fit the data set, or nothing to choose from.
    """
    source = settings.source()
    found, set_aside = read_candidates(settings)
    cache = settings.cache or settings.out / "cache"
    with opened(settings.out, cache, described(settings, source.describe())):
        data = DataParams(root=settings.dataset)
        run = Run(
            cache, Config(run_dir=cache, data=data, machine=MachineParams(workers=settings.workers))
        )
        stage = embed_images(run, found.samples, source)
        embeddings = embeddings_of(stage, found.samples)
        found = found.only(found.without(stage.manifest["set_aside"]))
        set_aside |= stage.manifest["set_aside"]
        uncertainty = None
        if settings.uncertainty:
            uncertainty, unmeasured = _uncertainty(run, settings, found)
            keep = found.without(unmeasured)
            found, embeddings = found.only(keep), embeddings.only(np.flatnonzero(keep))
            uncertainty, set_aside = uncertainty[keep], set_aside | unmeasured
        found.check_budget(settings.budget)
        selection = _selected(settings, found, embeddings, uncertainty, set_aside)
        write_lists(settings.out, selection.rows())
    return selection


def described(settings: SelectionSettings, encoder: str) -> dict[str, Any]:
    """Return settings as ``selection.json`` holds them.

    Args:
        settings: What is asked for.
        encoder: Which one, for a person.

    Returns:
        Texts, numbers and lists.
    """
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    plain = {key: _plain(value) for key, value in values.items() if key not in {"out", "workers"}}
    return {"made_by": "wsseg select", "wsseg": wsseg.__version__, **plain, "network": encoder}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _uncertainty(
    run: Run, settings: SelectionSettings, found: Candidates
) -> tuple[NDArray[np.float64], dict[str, str]]:
    """(N,) of the images, NaN for labelled ones, and what was set aside."""
    if settings.run is None or settings.uncertainty is None:
        raise TypeError("settings were checked when they were made")
    stage = measure_uncertainty(
        run,
        [sample for sample, done in zip(found.samples, found.is_labelled, strict=True) if not done],
        found.dataset_classes,
        settings.uncertainty,
        checkpoint=checkpoint_of(settings.run),
        prediction=settings.prediction(settings.run),
    )
    return uncertainties_of(stage, found.samples), stage.manifest["set_aside"]


def _selected(
    settings: SelectionSettings,
    found: Candidates,
    embeddings: Embeddings,
    uncertainty: NDArray[np.float64] | None,
    set_aside: dict[str, str],
) -> Selection:
    pool = Pool(embeddings, found.is_labelled, settings.budget, settings.seed)
    least = settings.quota
    least = default_quota(pool.budget, found.shows) if least is None else least
    quota = Quota(found.shows, least)
    useful = METHODS[settings.method](pool)
    if uncertainty is not None:
        useful = weighted(useful, np.nan_to_num(uncertainty))
    choice = choose(pool, useful, quota)
    is_taken = found.is_labelled.copy()
    is_taken[choice.order] = True
    return Selection(
        settings=settings,
        candidates=found,
        embeddings=embeddings,
        choice=choice,
        quota=least,
        uncertainty=uncertainty,
        covered=coverage(choice.nearest, found.shows, is_taken),
        at_random=random_coverage(pool, found.shows),
        notes=_notes(found, quota.unmet(is_taken, found.classes)),
        set_aside=dict(sorted(set_aside.items())),
    )


def _notes(found: Candidates, unmet: list[str]) -> tuple[str, ...]:
    if not found.shows.any():
        return ("no image says which classes it shows, so that no class has a quota",)
    return tuple(unmet)
