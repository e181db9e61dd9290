"""Select the images to label, from a data set on disk to a list and its page."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wsseg
from wsseg.data.params import DataParams
from wsseg.files import read_record, write_json, write_text
from wsseg.networks.params import MachineParams, PredictionParams
from wsseg.networks.prediction import check_classes
from wsseg.runs.config import Config, config_from_values, load_config
from wsseg.runs.folder import exclusive_folder
from wsseg.runs.run import Run
from wsseg.stages.predict import checkpoint_of, prediction_of
from wsseg.stages.selection.candidates import Candidates, read_candidates
from wsseg.stages.selection.choosing import (
    METHODS,
    Choice,
    Coverage,
    Pool,
    Quota,
    choose,
    default_quota,
    measure_coverage,
    random_coverage,
    weight,
)
from wsseg.stages.selection.embeddings import Embeddings, Source, embed_images, embeddings_of
from wsseg.stages.selection.encoders import encoder_source
from wsseg.stages.selection.foundation import foundation_source
from wsseg.stages.selection.params import SelectionParams
from wsseg.stages.selection.uncertainty import measure_uncertainty, uncertainties_of

_SETTINGS, _CACHE = "selection.json", "selection_cache.json"
_RESULTS = ("selected.txt", "selected.csv", "index.html")


@dataclass(frozen=True)
class SelectedImage:
    """A row of ``selected.csv``.

    Attributes:
        rank: From 1, the most useful first.
        classes: Names of the classes that its annotations name.
        distance: To the nearest image chosen or labelled before it, infinite for the first of all.
        uncertainty: Of the network; None if it was not measured.
    """

    rank: int
    id: str
    path: Path
    classes: tuple[str, ...]
    distance: float
    uncertainty: float | None


@dataclass(frozen=True, eq=False)
class Selection:
    """The images to label, and how they were chosen.

    Attributes:
        candidates: The N usable images.
        embeddings: Of the N images.
        network: Name of the encoder or model, and the source of its weights.
        quota: Chosen images that each class should appear in.
        uncertainty: (N,) float64, NaN for labelled images; None if it was not measured.
        covered: Coverage of all images by the chosen and labelled ones.
        at_random: Mean coverage of random choices of as many images.
        notes: Sentences about quotas that could not be met.
        skipped: Unusable images and the reasons.
    """

    params: SelectionParams
    candidates: Candidates
    embeddings: Embeddings
    choice: Choice
    network: str
    quota: int
    uncertainty: NDArray[np.float64] | None
    covered: Coverage
    at_random: Coverage
    notes: tuple[str, ...]
    skipped: dict[str, str]

    def images(self) -> list[SelectedImage]:
        """Return the chosen images, the most useful first."""
        return [
            SelectedImage(
                rank=rank,
                id=self.candidates.samples[image].id,
                path=self.candidates.samples[image].image,
                classes=self.candidates.classes_of(image),
                distance=float(self.choice.distances[rank - 1]),
                uncertainty=None if self.uncertainty is None else float(self.uncertainty[image]),
            )
            for rank, image in enumerate(self.choice.order.tolist(), 1)
        ]

    def lines(self) -> list[str]:
        """Return a summary."""
        covered, at_random = self.covered, self.at_random
        return [
            f"{len(self.choice.order)} of {len(self.candidates.samples)} images chosen by "
            f"{self.params.used_method}, {int(self.candidates.is_labelled.sum())} labelled before",
            f"classes shown: {covered.classes:.0f} of "
            f"{int(self.candidates.shows.any(axis=0).sum())} (at random "
            f"{at_random.classes:.1f}), quota {self.quota}",
            f"distance to the nearest chosen or labelled image: largest {covered.largest:.3f} "
            f"(at random {at_random.largest:.3f}), mean {covered.mean:.3f} ({at_random.mean:.3f})",
            *self.notes,
        ]


def select_images(params: SelectionParams) -> Selection:
    """Choose images, and write ``selected.txt``, ``selected.csv`` and ``selection.json``.

    Raises:
        InputError: The parameters do not fit the data set, or no image can be chosen.
    """
    checkpoint = checkpoint_of(params.run) if params.run else None
    settings = _network_settings(params)
    source = _source(params, settings, checkpoint)
    candidates, skipped = read_candidates(params, settings.data.reading)
    if params.uncertainty and checkpoint:
        check_classes(f"--run {params.run}", checkpoint, candidates.dataset_classes)
    cache = params.cache or params.out / "cache"
    with exclusive_folders(params.out, cache, describe(params, source)):
        data = DataParams(root=params.dataset)
        machine = MachineParams(workers=params.workers)
        run = Run(cache, Config(run_dir=cache, data=data, machine=machine))
        stage = embed_images(run, candidates.samples, source)
        embeddings = embeddings_of(stage, candidates.samples)
        candidates = candidates.only(candidates.are_not_in(stage.skipped))
        skipped |= stage.skipped
        uncertainty = None
        if params.uncertainty and params.run and checkpoint:
            stage = measure_uncertainty(
                run,
                candidates.only(~candidates.is_labelled).samples,
                candidates.dataset_classes,
                params.uncertainty,
                checkpoint=checkpoint,
                prediction=prediction_params(params.run, params.scales),
            )
            keep = candidates.are_not_in(stage.skipped)
            skipped |= stage.skipped
            candidates, embeddings = candidates.only(keep), embeddings.only(np.flatnonzero(keep))
            uncertainty = uncertainties_of(stage, candidates.samples)
        candidates.check_budget(params.budget)
        network = source.describe()
        selection = _select(params, candidates, embeddings, uncertainty, skipped, network=network)
        write_lists(params.out, selection.images())
    return selection


def _source(params: SelectionParams, settings: Config, checkpoint: Path | None) -> Source:
    """Return the source of the embeddings, which has been checked."""
    if params.model is not None:
        return foundation_source(params.model, settings.machine.device)
    source = encoder_source(settings, params.encoder, checkpoint)
    source.check()
    return source


def _network_settings(params: SelectionParams) -> Config:
    """Return settings of which only the networks are used."""
    path = params.config
    if path is None and params.run is not None and params.run.is_dir():
        path = params.run / "config.yaml"
    if path is None:
        return config_from_values({"run_dir": ".", "data": {"root": "."}}, "defaults")
    return load_config(path, ["run_dir=.", "data.root=."])


def prediction_params(run: Path, scales: tuple[float, ...] | None) -> PredictionParams:
    """Return the prediction parameters of a run, with other scales if there are any."""
    own = prediction_of(run)
    return own.model_copy(update={"scales": scales}) if scales else own


def describe(params: SelectionParams, source: Source) -> dict[str, Any]:
    """Return the content of ``selection.json``."""
    values = params.model_dump(exclude={"out", "workers"}) | {"method": params.used_method}
    plain = {key: _plain(value) for key, value in values.items()}
    return {
        "made_by": "wsseg select",
        "wsseg": wsseg.__version__,
        **plain,
        "network": source.describe(),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _select(
    params: SelectionParams,
    candidates: Candidates,
    embeddings: Embeddings,
    uncertainty: NDArray[np.float64] | None,
    skipped: dict[str, str],
    *,
    network: str,
) -> Selection:
    pool = Pool(embeddings, candidates.is_labelled, params.budget, params.seed)
    shows = candidates.shows
    minimum = default_quota(pool.budget, shows) if params.quota is None else params.quota
    quota = Quota(shows, minimum)
    usefulness = METHODS[params.used_method](pool)
    if uncertainty is not None:
        usefulness = weight(usefulness, np.nan_to_num(uncertainty))
    choice = choose(pool, usefulness, quota)
    is_taken = candidates.is_labelled.copy()
    is_taken[choice.order] = True
    notes = quota.unmet(is_taken, candidates.class_names)
    if not shows.any():
        notes = ["no annotation names a class, so no class has a quota"]
    return Selection(
        params=params,
        candidates=candidates,
        embeddings=embeddings,
        choice=choice,
        network=network,
        quota=minimum,
        uncertainty=uncertainty,
        covered=measure_coverage(choice.nearest, shows, is_taken),
        at_random=random_coverage(pool, shows),
        notes=tuple(notes),
        skipped=dict(sorted(skipped.items())),
    )


@contextmanager
def exclusive_folders(out: Path, cache: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Keep other processes out of the folder of a selection and of its cache.

    Results of other settings are removed, so that all files of the folder belong together.

    Args:
        out: A new or empty folder, or one of an earlier selection.
        cache: Another such folder, which may lie inside.
        settings: Written to ``selection.json``.

    Raises:
        InputError: A folder holds something else, or another process works in it.
    """
    with ExitStack() as stack:
        stack.enter_context(exclusive_folder(out, "--out", _SETTINGS, "a selection"))
        stack.enter_context(exclusive_folder(cache, "--cache", _CACHE, "the cache of one"))
        if read_record(out / _SETTINGS) != settings:
            for name in _RESULTS:
                (out / name).unlink(missing_ok=True)
            write_json(out / _SETTINGS, settings)
        write_json(cache / _CACHE, {"made_by": "wsseg select"})
        yield


def write_lists(out: Path, images: Sequence[SelectedImage]) -> None:
    """Write ``selected.txt``, one id per line, and ``selected.csv``, one image per row.

    An infinite distance is left empty, as is the uncertainty if it was not measured.
    """
    write_text(out / "selected.txt", "".join(f"{image.id}\n" for image in images))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    is_measured = any(image.uncertainty is not None for image in images)
    more = ["uncertainty"] if is_measured else []
    writer.writerow(["rank", "id", "path", "classes", "distance", *more])
    for image in images:
        figures = [image.distance, image.uncertainty] if is_measured else [image.distance]
        texts = [f"{v:.6f}" if v is not None and math.isfinite(v) else "" for v in figures]
        writer.writerow([image.rank, image.id, image.path, ";".join(image.classes), *texts])
    write_text(out / "selected.csv", table.getvalue())
