"""The folder of a run: its settings, its stages, and what other commands read from it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

import wsseg
from wsseg.errors import InputError
from wsseg.files import discard_partial, read_record, write_json, write_text
from wsseg.runs import names
from wsseg.runs.config import Config, load_config
from wsseg.runs.environment import environment
from wsseg.runs.folder import check_folder, check_unused, exclusive_folder
from wsseg.runs.stage import Stage, finished_stage

LAYOUT = 3
"""Version of the files and settings of a run; others are refused."""

_ENVIRONMENT = "environment.json"  # the file that a run writes first
_CONFIG = "config.yaml"


class Run:
    """A run: its folder, settings and stages.

    ``Run("runs/mine")`` opens a finished or interrupted run.

    Args:
        path: Folder of the run.
        config: Resolved settings; None reads those of an existing run.

    Raises:
        InputError: ``config`` is None and the folder holds no run, or one of another version.
    """

    def __init__(self, path: str | Path, config: Config | None = None) -> None:
        self.path = Path(path)
        self.config = read_config(self.path) if config is None else config

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def rounds(self) -> list[Stage]:
        """The finished rounds in order; ``labels`` of each maps image ids to label maps."""
        stages = (self.finished(name) for name in self.label_stages() if names.is_round(name))
        return [stage for stage in stages if stage]

    @property
    def report(self) -> Path:
        """The HTML page of the report."""
        return self.path / "report" / "index.html"

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of the report; empty if there is no report yet."""
        return read_record(self.path / "report" / "summary.json")

    def stage(self, name: str, **inputs: Any) -> Stage:
        """Return a stage of this run, complete or not.

        Args:
            name: Folder of the stage below that of the run, such as "round-1".
            **inputs: Everything that the result depends on: settings, samples, other stages.
        """
        described = {"version": wsseg.__version__, "stage": name, **inputs}
        text = json.dumps(described, sort_keys=True, default=_describe)
        key = hashlib.sha256(text.encode()).hexdigest()
        stages = [stage for stage in inputs.values() if isinstance(stage, Stage)]
        own = [stage for stage in stages if stage.path.is_relative_to(self.path)]
        return Stage(name, self.path / name, key, {stage.name: stage.key for stage in own})

    def finished(self, name: str) -> Stage | None:
        """Return a stage on disk; None if it is incomplete or older than its inputs."""
        return finished_stage(self.path, name)

    def label_stages(self) -> list[str]:
        """Return the names of the stages with label maps in order, finished or not."""
        rounds = self.config.rounds
        if rounds.count == "auto":
            ending = self.finished(names.ENDING)
            count = ending.results["rounds"] if ending else len(rounds.numbers)
        else:
            count = max(rounds.count, 1)  # pipeline "full" trains once, whatever the count
        numbered = [names.round_name(number) for number in range(1, count + 1)]
        zoom = [names.ZOOM] if self.config.zoom.folds else []
        return [names.SEEDS, *zoom, *numbered, names.MASKS_ONLY, names.FILTERED, names.FINETUNED]

    def preferred_stages(self) -> list[str]:
        """Return the names of the stages with label maps, the one to use first.

        The last stage comes first; if rounds ended by themselves, the best round comes before the
        other rounds.
        """
        ending = self.finished(names.ENDING) if self.config.rounds.count == "auto" else None
        best = ending.results["best"] if ending else None
        *rounds, masks_only, filtered, finetuned = self.label_stages()
        ordered = sorted(rounds, key=lambda name: (name != best, -rounds.index(name)))
        return [finetuned, filtered, masks_only, *ordered]

    def last_model(self) -> Stage:
        """Return the stage of the last trained network, or that of the best round.

        Raises:
            InputError: The run has no trained network.
        """
        for name in self.preferred_stages():
            if model := self.finished(names.model_name(name)):
                return model
        hint = "run it to its end, or name a model.ckpt"
        raise InputError(f"run {self.path} has no trained network", hint=hint)


@contextmanager
def open_run(config: Config) -> Iterator[Run]:
    """Create or re-open the folder of a run and keep other processes out of it.

    Yields:
        The run; its folder holds ``environment.json`` and ``config.yaml``.

    Raises:
        InputError: Another process works in the folder, or it holds other files or a run of
            another version.
    """
    path = config.run_dir
    _check_layout(path)
    with exclusive_folder(path, "run_dir", _ENVIRONMENT, "a run"):
        discard_partial(path, ".")
        write_json(path / _ENVIRONMENT, {"layout": LAYOUT, **environment(config.seed)})
        write_text(path / _CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        yield Run(path, config)


def check_run_folder(path: Path) -> None:
    """Refuse a folder that cannot become that of a run, without making it.

    Raises:
        InputError: It holds other files or a run of another version, or another process works
            in it.
    """
    _check_layout(path)
    check_folder(path, "run_dir", _ENVIRONMENT, "a run")
    check_unused(path, "run_dir")


def read_config(run: Path) -> Config:
    """Return the settings of a run.

    Raises:
        InputError: The folder holds no run, or one of another version, or its file was cut off.
    """
    _check_layout(run)
    if not (run / _CONFIG).is_file():
        raise InputError(f"{run} is not the folder of a run", hint="check the path")
    config = load_config(run / _CONFIG)
    # A run writes every group of settings: a file that was cut off would give defaults for some.
    if missing := Config.model_fields.keys() - config.model_fields_set:
        message = f"{run / _CONFIG} is damaged: it has no {', '.join(sorted(missing))}"
        raise InputError(message, hint="start the run again with its own configuration")
    return config


def _check_layout(run: Path) -> None:
    # A damaged file is no sign of another version: the next run writes it again.
    record = read_record(run / _ENVIRONMENT)
    if record and record.get("layout") != LAYOUT:
        made_by = f"wsseg {record['wsseg']}" if "wsseg" in record else "another version of wsseg"
        problem = f"the run in {run} was made by {made_by}, whose files have another layout"
        raise InputError(problem, hint="use that version, or choose another run_dir")


def _describe(value: Any) -> Any:
    if isinstance(value, Stage):
        return value.key
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value)
