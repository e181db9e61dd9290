"""Pipelines and configs: those of the user, and those that come with wsseg."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import wsseg
from wsseg.errors import InputError
from wsseg.networks.params import ZoomParams
from wsseg.runs.config import Config, load_config
from wsseg.runs.names import SEEDS, ZOOM, round_name
from wsseg.runs.run import Run


def run(config: str | Path, until: str | None = None, **overrides: Any) -> Run:
    """Run the pipeline of a config; finished stages are skipped.

    Args:
        config: A YAML file, or the name of a config that comes with wsseg.
        until: Stage of label maps to end with, "seeds", "zoom" or such as "round-1"; the next
            call continues from there.
        **overrides: Settings that replace those of the file, such as ``seed=1``; nested ones as
            ``**{"rounds.count": 2}``.

    Returns:
        The finished run.

    Raises:
        InputError: A setting breaks a rule, or the data cannot be used.
    """
    path = find_config(Path(config))
    texts = [f"{key}={json.dumps(value, default=str)}" for key, value in overrides.items()]
    settings = load_config(path, texts)
    if until is not None:
        settings = end_with(settings, until)
    run_pipeline(settings, path.parent)
    return Run(settings.run_dir, settings)


def end_with(config: Config, stage: str) -> Config:
    """Return settings with which a run ends after its first labels or after a round.

    Args:
        stage: "seeds", "zoom" if the run has it, or such as "round-1".

    Raises:
        InputError: The run has no such stage, or is none of rounds.
    """
    rounds = config.rounds
    if not config.has_rounds:
        problem = f"--until {stage}: the pipeline {config.pipeline} has no rounds"
        raise InputError(problem, hint="leave it out, or choose pipeline=weak")
    zoom = {ZOOM: 0} if config.zoom.folds else {}
    numbers = {SEEDS: 0, **zoom, **{round_name(number): number for number in rounds.numbers}}
    if stage not in numbers:
        rule = f"one of {', '.join(numbers)}"
        remedy = "set zoom.folds=2" if stage == ZOOM else "choose one, or raise rounds.count"
        raise InputError("--until", rule, stage, remedy)
    update: dict[str, Any] = {"rounds": rounds.model_copy(update={"count": numbers[stage]})}
    if stage == SEEDS:
        update["zoom"] = ZoomParams()
    return config.model_copy(update=update)


def run_pipeline(config: Config, folder: Path) -> None:
    """Run the pipeline that a configuration names.

    Args:
        folder: Folder of the configuration's file, in which a script may lie.

    Raises:
        InputError: There is no such pipeline, or the pipeline raises it.
    """
    path = _find_pipeline(config.pipeline, folder)
    spec = importlib.util.spec_from_file_location(f"wsseg_pipeline_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"pipeline {path}", "a Python script", path.suffix, "name a .py file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "main"):
        raise InputError(f"pipeline {path} has no function main(config)", hint="define it")
    module.main(config)


def find_config(config: Path) -> Path:
    """Return the file of a config: the given one, or that of the same name in wsseg's ``configs``.

    If there is neither, the given path is returned.
    """
    if config.is_file() or config.parent not in (Path(), Path("configs")):
        return config
    shipped = [folder / config.name for folder in _shipped("configs")]
    return next((path for path in shipped if path.is_file()), config)


def shipped_config(name: str) -> Path:
    """Return the file of a config that comes with wsseg, such as "demo_boxes.yaml"."""
    return next(path for f in _shipped("configs") if (path := f / name).is_file())


def _find_pipeline(name: str, folder: Path) -> Path:
    own = [Path(name), folder / name] if name.endswith(".py") else []
    for path in [*own, *(place / f"{name}.py" for place in _shipped("pipelines"))]:
        if path.is_file():
            return path
    known = sorted(path.stem for place in _shipped("pipelines") for path in place.glob("*.py"))
    rule = f"one of {', '.join(known)}, or the path of a script"
    raise InputError("pipeline", rule, repr(name), "choose one of them")


def _shipped(folder: str) -> list[Path]:
    """Return the places of pipelines or configs: in a wheel, and in a checkout."""
    package = Path(wsseg.__file__).parent
    return [package / folder, package.parent / folder]
