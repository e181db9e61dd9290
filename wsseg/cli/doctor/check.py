"""Run all checks, and print their results."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from wsseg.errors import InputError
from wsseg.runs.config import load_config

State = Literal["ok", "warning", "problem"]
_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "problem": "bold red"}
REINSTALL = "pip install --force-reinstall -c constraints.txt wsseg"


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Args:
        subject: Name of the setting or part that was checked, such as "run_dir".
        state: "problem" if a run would stop there, "warning" if it may.
        message: The result in words.
        remedy: The correction, in the imperative; empty if none is needed.
    """

    subject: str
    state: State
    message: str
    remedy: str = ""


def failed(subject: str, error: InputError) -> Check:
    """Return an error that would stop a run as a problem."""
    rule = f" must be {error.rule}, got {error.got}" if error.rule else ""
    return Check(subject, "problem", error.subject + rule, error.remedy)


def run_checks(path: Path | None = None, overrides: Sequence[str] = ()) -> Iterator[Check]:
    """Check the machine and, if a file is given, a configuration.

    Args:
        path: The YAML file, None for the machine alone.
        overrides: ``key=value``, as for ``wsseg run``.

    Yields:
        Each result as soon as it is known; a check that fails does not stop the others.
    """
    yield from _guarded("packages", "check_packages")
    for name in ("devices", "compiler"):
        yield from _guarded("machine", f"check_{name}")
    if path is None:
        return
    try:
        config = load_config(path, overrides)
    except InputError as error:
        yield failed("config", error)
        return
    yield Check("config", "ok", str(path))
    yield from _guarded("settings", "check_settings_and_data", config)
    yield from _guarded("machine", "check_folders", config.run_dir)


def _guarded(module: str, name: str, *arguments: Any) -> Iterator[Check]:
    """Import a check and run it; a broken package makes it a problem instead of a crash."""
    subject = name.removeprefix("check_").replace("_", " ")
    try:
        check: Callable[..., Iterable[Check]]
        check = getattr(import_module(f"wsseg.cli.doctor.{module}"), name)
        yield from check(*arguments)
    except InputError as error:
        yield failed(subject, error)
    except (ImportError, OSError) as error:
        yield Check(subject, "problem", str(error), REINSTALL)


def table_of(checks: Iterable[Check]) -> Table:
    """Return the results as a table for the terminal."""
    table = Table(title="wsseg doctor", title_justify="left")
    table.add_column("check", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("result; remedy", overflow="fold")
    for check in checks:
        text = Text(check.message)
        text.append(f"\n{check.remedy}" if check.remedy else "", "italic")
        table.add_row(Text(check.subject), Text(check.state, _STYLES[check.state]), text)
    return table
