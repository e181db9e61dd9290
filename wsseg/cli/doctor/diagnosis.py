"""All that can be looked at before a run, in order; what breaks a look is itself found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from wsseg.cli.doctor.found import Found, refused
from wsseg.data.model import Dataset
from wsseg.errors import InputError
from wsseg.runs.config import Config, load_config

_MACHINE = ("packages", "devices", "compiler")
_REINSTALL = "pip install --force-reinstall -c constraints.txt wsseg"


def diagnose(path: Path | None = None, overrides: Sequence[str] = ()) -> Iterator[Found]:
    """Yield what is found of the machine and, where a file names one, of a configuration.

    Args:
        path: The YAML file, None for the machine alone.
        overrides: ``key=value``, as ``wsseg run`` takes them.

    Yields:
        Each thing as soon as it was looked at; no error stops the others.
    """
    for name in _MACHINE:
        yield from _looked(name)
    if path is None:
        return
    try:
        config = load_config(path, overrides)
    except InputError as error:
        yield refused("config", error)
        return
    yield Found("config", "ok", str(path))
    yield from _of_config(config)


def _of_config(config: Config) -> Iterator[Found]:
    dataset = _indexed(config)
    yield from _looked("data", config, dataset)
    yield from _looked("settings", config, dataset)
    yield from _looked("places", config)
    yield from _looked("space", config, dataset)


def _looked(name: str, *arguments: Any) -> Iterator[Found]:
    """What a module of this room finds; it is imported here, as a broken package may not let it."""
    try:
        look: Callable[..., Iterable[Found]] = import_module(f"wsseg.cli.doctor.{name}").look
        yield from look(*arguments)
    except InputError as error:
        yield refused(name, error)
    except (ImportError, OSError) as error:
        yield Found(name, "problem", str(error), _REINSTALL)


def _indexed(config: Config) -> Dataset | InputError:
    try:
        found: Dataset = import_module("wsseg.cli.doctor.data").index(config.data)
    except InputError as error:
        return error
    except (ImportError, OSError) as error:
        rule, remedy = "readable", "correct its rights, or " + _REINSTALL
        return InputError(f"data.root {config.data.root}", rule, error, remedy)
    return found
