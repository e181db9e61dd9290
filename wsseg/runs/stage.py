"""A run's folder and its stages: done once, skipped while fresh, resumed where they stopped."""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

import wsseg
from wsseg.files import (
    discard_partial,
    read_record,
    write_json,
    write_text,
)
from wsseg.runs.config import Config
from wsseg.runs.environment import environment
from wsseg.runs.folder import alone_in, check_free, check_own

_KNOWN_BY = ("config.yaml", "a run")  # the file that a run writes first, and what it says there is


@dataclass(frozen=True)
class Run:
    """The folder of one run and its settings.

    Args:
        path: The folder.
        config: The resolved settings.
    """

    path: Path
    config: Config

    def stage(self, name: str, **inputs: Any) -> "Stage":
        """Return a stage of this run.

        Args:
            name: Its folder below the run's, such as "seeds" or "round-1".
            **inputs: Everything its result depends on: settings, samples, other stages.

        Returns:
            The stage; entering it with ``with stage.work():`` prepares its folder.
        """
        described = {"version": wsseg.__version__, "stage": name, **inputs}
        text = json.dumps(described, sort_keys=True, default=_describe)
        key = hashlib.sha256(text.encode()).hexdigest()
        stages = [stage for stage in inputs.values() if isinstance(stage, Stage)]
        own = [stage for stage in stages if stage.path.is_relative_to(self.path)]
        upstream = {stage.name: stage.key for stage in own}
        return Stage(name, self.path / name, key, upstream)


@dataclass(frozen=True)
class Stage:
    """One step of a run with a folder of its own.

    Args:
        name: Such as "round-1".
        path: Its folder.
        key: Hash of its inputs, settings and the code's version.
        upstream: Names and keys of the stages of its run that it is made from.
    """

    name: str
    path: Path
    key: str
    upstream: dict[str, str]

    @property
    def manifest(self) -> dict[str, Any]:
        """What the complete stage recorded; empty while it is not complete or not fresh."""
        found = read_record(self.path / "manifest.json")
        return found if found.get("key") == self.key else {}

    @property
    def is_complete(self) -> bool:
        """True if the stage can be skipped."""
        return bool(self.manifest)

    @contextmanager
    def work(self) -> Iterator[dict[str, Any]]:
        """Prepare the folder, yield the record to fill, and write it last as the manifest.

        Files of an interrupted attempt with the same key stay; those of another key are removed.

        Yields:
            A dict whose values go into the manifest. "seconds" adds up over attempts.
        """
        self._discard_other_keys()
        record: dict[str, Any] = {}
        started, before = time.monotonic(), self._attempt()["seconds"]
        try:
            yield record
        except BaseException:
            with suppress(OSError):  # on a full disk, what stopped the work is what to tell
                self._spend(before + time.monotonic() - started)
            raise
        discard_partial(self.path)  # of workers and nodes that were lost on the way
        seconds = self._spend(before + time.monotonic() - started)
        about = {"stage": self.name, "key": self.key, "upstream": self.upstream}
        done = {**about, "seconds": seconds, **record}
        write_json(self.path / "manifest.json", done)

    def _spend(self, seconds: float) -> float:
        """Keep how long the attempts took together."""
        spent = round(seconds, 3)
        write_json(self.path / "attempt.json", {"key": self.key, "seconds": spent})
        return spent

    def _attempt(self) -> dict[str, Any]:
        return {"key": None, "seconds": 0.0, **read_record(self.path / "attempt.json")}

    def _discard_other_keys(self) -> None:
        if self._attempt()["key"] != self.key:
            for entry in self.path.glob("*"):
                _remove(entry)
            write_json(self.path / "attempt.json", {"key": self.key, "seconds": 0.0})
        (self.path / "manifest.json").unlink(missing_ok=True)
        discard_partial(self.path)


@contextmanager
def open_run(config: Config) -> Iterator[Run]:
    """Create or re-open a run's folder and keep others out of it.

    Args:
        config: The resolved settings.

    Yields:
        The run; its folder holds ``config.yaml`` and ``environment.json``.

    Raises:
        InputError: Another process works in the folder, or it holds something else.
    """
    path = config.run_dir
    with alone_in(path, "run_dir", *_KNOWN_BY):
        discard_partial(path, ".")
        write_text(path / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
        write_json(path / "environment.json", environment(config.seed))
        yield Run(path, config)


def check_run_folder(path: Path) -> None:
    """Refuse a folder that no run can have, without making it.

    Args:
        path: Of ``config.run_dir``.

    Raises:
        InputError: It holds something else, or another process works in it.
    """
    check_own(path, "run_dir", *_KNOWN_BY)
    check_free(path, "run_dir")


def finished_stage(
    run: Path, name: str, known: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return the manifest of a stage on disk, whatever the settings it was made with.

    Args:
        run: The run's folder.
        name: The stage's name.
        known: Results for stages looked at before, added to.

    Returns:
        The manifest; empty where the stage is not complete, or where a stage that it is made
        from is missing or has been made anew since.
    """
    known = {} if known is None else known
    if name not in known:
        found = read_record(run / name / "manifest.json")
        above = found.get("upstream", {}).items()
        fresh = all(finished_stage(run, stage, known).get("key") == key for stage, key in above)
        known[name] = found if fresh else {}
    return known[name]


def stages_before(run: Path, name: str) -> list[str]:
    """Return the stages that a stage on disk is made from, directly or not.

    Args:
        run: The run's folder.
        name: The stage's name.

    Returns:
        Their names, each after those that it is made from itself.
    """
    found: dict[str, None] = {}

    def visit(stage: str) -> None:
        for above in finished_stage(run, stage).get("upstream", {}):
            if above not in found:
                visit(above)
                found[above] = None

    visit(name)
    return list(found)


def _remove(entry: Path) -> None:
    if not entry.is_dir():
        entry.unlink()
    elif not (entry / "attempt.json").exists():  # else it is a stage of its own
        shutil.rmtree(entry)


def _describe(value: Any) -> Any:
    if isinstance(value, Stage):
        return value.key
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value)
