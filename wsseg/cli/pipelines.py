"""Pipelines and configs: the user's own, and those that wsseg ships."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wsseg
from wsseg.cli.doctor.machine import check_disk
from wsseg.cli.errors import plain_errors
from wsseg.errors import InputError
from wsseg.runs.config import Config, load_config
from wsseg.runs.progress import log


def run_config(settings: Config, beside: Path) -> None:
    """Run the pipeline that a configuration names.

    Args:
        settings: The resolved settings.
        beside: The folder of their file, where a script of the user's own may lie.

    Raises:
        InputError: There is no such pipeline, or what it says itself.
    """
    _pipeline(settings, beside).main(settings)


def run_and_report(settings: Config, beside: Path) -> None:
    """Warn if the disk is almost full, run a pipeline, and print where the report is.

    Args:
        settings: The resolved settings.
        beside: The folder of their file.

    Raises:
        InputError: As ``run_config``.
    """
    disk = check_disk(settings.run_dir)
    if disk.state != "ok":
        log(f"warning: disk: {disk.message}; {disk.remedy}")
    run_config(settings, beside)
    log(f"report: {settings.run_dir / 'report' / 'index.html'}")


def run_script(pipeline: Callable[[Config], None]) -> None:
    """Run a pipeline script with the arguments it was called with: CONFIG [key=value ...].

    Args:
        pipeline: Its ``main``.
    """
    with plain_errors():
        if len(sys.argv) < 2:
            remedy = f"call python {sys.argv[0]} configs/demo_boxes.yaml"
            raise InputError("CONFIG", "a YAML file", "nothing", remedy)
        # what runs is this script, whatever the file was written for
        overrides = [*sys.argv[2:], f"pipeline={Path(sys.argv[0]).stem}"]
        pipeline(load_config(Path(sys.argv[1]), overrides))


def _pipeline(config: Config, beside: Path) -> Any:
    """Return the module of a pipeline: shipped with wsseg, or a script of the user's own."""
    path = _script(config.pipeline, beside)
    spec = importlib.util.spec_from_file_location(f"wsseg_pipeline_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"pipeline {path}", "a Python script", path.suffix, "name a .py file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "main"):
        raise InputError(f"pipeline {path}", "a script with main(config)", "none", "define it")
    return module


def _script(name: str, beside: Path) -> Path:
    own = [Path(name), beside / name] if name.endswith(".py") else []
    for path in [*own, *(folder / f"{name}.py" for folder in _shipped("pipelines"))]:
        if path.is_file():
            return path
    known = sorted(path.stem for folder in _shipped("pipelines") for path in folder.glob("*.py"))
    rule = f"one of {', '.join(known)}, or the path of a script"
    raise InputError("pipeline", rule, repr(name), "choose one of them")


def find_config(config: Path) -> Path:
    """Return a config of the user's own, else the shipped one: ``configs/x.yaml`` or ``x.yaml``.

    Args:
        config: As the user wrote it.

    Returns:
        The file; the given path where there is none.
    """
    if config.is_file() or config.parent not in (Path(), Path("configs")):
        return config
    shipped = [folder / config.name for folder in _shipped("configs")]
    return next((path for path in shipped if path.is_file()), config)


def shipped_config(name: str) -> Path:
    """Return a config that comes with wsseg, wherever the user is.

    Args:
        name: Such as "demo_boxes.yaml".

    Returns:
        The file.
    """
    return next(path for f in _shipped("configs") if (path := f / name).is_file())


def _shipped(folder: str) -> list[Path]:
    """Where pipelines and configs lie: inside the package in a wheel, beside it in a checkout."""
    package = Path(wsseg.__file__).parent
    return [package / folder, package.parent / folder]
