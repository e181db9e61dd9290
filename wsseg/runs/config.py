"""The settings of a run, read from a YAML file and ``key=value`` overrides."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BeforeValidator, Field, ValidationError

from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.networks.params import (
    ClassifierParams,
    MachineParams,
    PredictionParams,
    SegmenterParams,
    SegmenterTrainingParams,
    ZoomParams,
)
from wsseg.params import LocalPath, Params, input_error
from wsseg.refine.params import CRFParams
from wsseg.seeds.params import CAMParams, SeedParams
from wsseg.stages.params import FinetuneParams, RoundParams


def _listed(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


class Config(Params):
    """All settings of a run."""

    pipeline: str = "weak"
    """"weak" learns from weak annotations of any kind, "finetune" from a few pixel masks beside a
    finished run, "full" from masks of all training images; or the path of a Python script.
    """
    run_dir: LocalPath
    """Folder of the run; its labels, networks and report are written there."""
    seed: int = Field(0, ge=0)
    """Seed of all random numbers."""
    strict: bool = False
    """Stop at the first unusable image instead of skipping it."""
    loggers: Annotated[tuple[Literal["tensorboard", "mlflow"], ...], BeforeValidator(_listed)] = ()
    """Programs that receive the curves of every training: "tensorboard", "mlflow" or both."""
    machine: MachineParams = MachineParams()
    data: DataParams
    seeds: SeedParams = SeedParams()
    classifier: ClassifierParams = ClassifierParams()
    cam: CAMParams = CAMParams()
    crf: CRFParams = CRFParams()
    model: SegmenterParams = SegmenterParams()
    trainer: SegmenterTrainingParams = SegmenterTrainingParams()
    prediction: PredictionParams = PredictionParams()
    zoom: ZoomParams = ZoomParams()
    rounds: RoundParams = RoundParams()
    finetune: FinetuneParams = FinetuneParams()

    @property
    def has_rounds(self) -> bool:
        """True if the pipeline makes first labels and has rounds: not "full" and not "finetune"."""
        return Path(self.pipeline).stem not in ("finetune", "full")


_MAX_VALUES = 100_000  # values in a YAML file after aliases are expanded
UNREADABLE = (
    OmegaConfBaseException,
    yaml.YAMLError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""Errors of a damaged YAML file, and of interpolations that cannot be resolved."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Return the settings of a YAML file, with some of them replaced.

    Args:
        overrides: ``key=value`` with dots between levels, such as "rounds.count=3".

    Raises:
        InputError: The file is missing or not YAML, an override has no "=", a key is unknown
            (the nearest one is suggested), or a value breaks its rule.
    """
    for override in overrides:
        if "=" not in override:
            raise InputError(f"override {override!r}", "key=value", "no '='", "add a value")
    try:
        merged = _merged(read_yaml(path), OmegaConf.from_dotlist(list(overrides)))
        values = OmegaConf.to_container(merged, resolve=True)
    except FileNotFoundError as error:
        raise InputError(path, "a YAML file", "no such file", "check the path") from error
    except UNREADABLE as error:
        got = " ".join(str(error).split())
        raise InputError(path, "a YAML mapping of settings", got, "correct it") from error
    return config_from_values(values, str(path))


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file as nodes of OmegaConf, without resolving interpolations.

    May raise any error of ``UNREADABLE``.
    """
    text = path.read_text(encoding="utf-8")
    _check_aliases(text)
    return OmegaConf.load(io.StringIO(text))


def _check_aliases(text: str) -> None:
    """Raise ``ValueError`` if nested aliases expand to more values than memory can hold."""
    counts: dict[int, int] = {}

    def count(node: yaml.Node) -> int:
        if id(node) not in counts:
            counts[id(node)] = _MAX_VALUES  # until it is counted: a node may contain itself
            children = node.value if isinstance(node, yaml.CollectionNode) else []
            pairs = [child if isinstance(child, tuple) else (child,) for child in children]
            counts[id(node)] = 1 + sum(count(child) for pair in pairs for child in pair)
        return counts[id(node)]

    root = yaml.compose(text, yaml.SafeLoader)
    if root is not None and count(root) >= _MAX_VALUES:
        raise ValueError(f"aliases that stand for {_MAX_VALUES:,} values or more")


def _merged(base: Any, overrides: Any) -> Any:
    """Merge overrides into the settings of a file; losses and classes are replaced as a whole."""
    for name in ("trainer.loss", "data.classes"):
        if (
            OmegaConf.select(overrides, name) is not None
            and OmegaConf.select(base, name) is not None
        ):
            OmegaConf.update(base, name, None, merge=False)
    return OmegaConf.merge(base, overrides)


def config_from_values(values: Any, source: str) -> Config:
    """Return validated settings.

    Args:
        values: Nested mapping, as read from YAML.
        source: Name used in errors.

    Raises:
        InputError: A key is unknown or missing, or a value breaks its rule.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise input_error(error, source, Config) from error
