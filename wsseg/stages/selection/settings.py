"""What a selection can be told."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsseg.data.formats.files import read_ids
from wsseg.errors import InputError
from wsseg.networks.params import PredictionParams
from wsseg.runs.config import Config, config_from_values, load_config
from wsseg.stages.predict import checkpoint_of, prediction_of
from wsseg.stages.selection.choosers import METHODS
from wsseg.stages.selection.encoders import EncoderSource, encoder_source
from wsseg.stages.selection.uncertainty import MEASURES


@dataclass(frozen=True)
class SelectionSettings:
    """Which images to choose, and by what.

    Args:
        dataset: The data set's folder.
        out: A new or empty folder, or one of an earlier selection.
        budget: Images to choose, at least 1.
        annotations: Files that are laid over the data set, as ``data.annotations``.
        format: A key of ``READERS``, or "auto".
        split: The split to choose from.
        method: A key of ``METHODS``.
        quota: Chosen images that each class is to be in; None is ``default_quota``, 0 none.
        seed: Of everything random.
        labelled: A file with the id of an image that is labelled already a line.
        config: YAML file whose section ``classifier`` or ``model`` names the encoder.
        encoder: One of ``SECTIONS``; None chooses as ``encoder_source`` says.
        run: A run's folder, or a ``model.ckpt``.
        uncertainty: A key of ``MEASURES``, or None; asks the network of ``run``.
        scales: Of the uncertainty's predictions; None are those of the run.
        cache: Folder for what can be used again; None is ``out/cache``.
        workers: Processes; None is one a core.

    Raises:
        InputError: A value is out of range or unknown, or needs another one.
    """

    dataset: Path
    out: Path
    budget: int
    annotations: tuple[Path, ...] = ()
    format: str = "auto"
    split: str = "train"
    method: str = "medoids"
    quota: int | None = None
    seed: int = 0
    labelled: Path | None = None
    config: Path | None = None
    encoder: str | None = None
    run: Path | None = None
    uncertainty: str | None = None
    scales: tuple[float, ...] | None = None
    cache: Path | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        _check_least("--budget", self.budget, 1)
        _check_least("--quota", self.quota, 0)
        _check_least("--seed", self.seed, 0)
        _check_known("--method", self.method, METHODS)
        if self.uncertainty is None:
            if self.scales is not None:
                rule = "given with --uncertainty"
                raise InputError("--scales", rule, "none", "choose a measure, or leave it out")
            return
        _check_known("--uncertainty", self.uncertainty, MEASURES)
        if self.run is None:
            raise InputError("--uncertainty", "given with a --run", "none", "name the run")
        if self.method != "k_centre":
            remedy = "leave one of them out"
            raise InputError("--uncertainty", "given with k_centre", self.method, remedy)
        if any(scale <= 0 for scale in self.scales or ()):
            raise InputError("--scales", "numbers above 0", self.scales, "such as 0.75,1")

    @property
    def checkpoint(self) -> Path | None:
        """The network of the run.

        Raises:
            InputError: The run has none.
        """
        return None if self.run is None else checkpoint_of(self.run)

    def source(self) -> EncoderSource:
        """Return the encoder.

        Raises:
            InputError: It cannot be built, or its weights are missing.
        """
        found = encoder_source(self._sections(), self.encoder, self.checkpoint)
        found.check()
        return found

    def prediction(self, run: Path) -> PredictionParams:
        """Return how uncertainty is predicted.

        Args:
            run: Whose settings hold where nothing else is said.

        Returns:
            Scales, mirror and tiles.
        """
        known = prediction_of(run)
        return known.model_copy(update={"scales": self.scales} if self.scales else {})

    def _sections(self) -> Config:
        """Settings of which only the networks count."""
        unused = {"run_dir": ".", "data": {"root": "."}}
        path = self.config
        if path is None and self.run is not None and self.run.is_dir():
            path = self.run / "config.yaml"
        if path is None:
            return config_from_values(unused, "defaults")
        return load_config(path, ["run_dir=.", "data.root=."])


def read_scales(text: str) -> tuple[float, ...]:
    """Return numbers from a text such as "0.75,1".

    Args:
        text: Separated by commas.

    Returns:
        The numbers.

    Raises:
        InputError: One of them is none.

    Example:
        >>> read_scales("0.75,1")
        (0.75, 1.0)
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        rule = "numbers above 0 with commas between"
        raise InputError("--scales", rule, repr(text), "such as 0.75,1") from error


def read_known_ids(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    """Return the images that a file lists, such as ``selected.txt``.

    Args:
        path: As of ``read_ids``.
        known: Ids of the data set.

    Returns:
        The ids in the file's order, each once.

    Raises:
        InputError: The file is missing or not UTF-8, or an id is unknown.
    """
    ids = read_ids(path)
    for unknown in sorted({*ids} - {*known}):
        nearest = difflib.get_close_matches(unknown, known, 1, 0)
        remedy = f"did you mean {nearest[0]!r}?" if nearest else "remove it"
        raise InputError(f"{path}", "ids of images of the split", repr(unknown), remedy)
    return ids


def _check_least(subject: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise InputError(subject, f"at least {least}", value, "raise it")


def _check_known(subject: str, name: str, known: object) -> None:
    names = list(known) if isinstance(known, dict) else []
    if name not in names:
        raise InputError(subject, f"one of {', '.join(names)}", repr(name), "choose one of them")
