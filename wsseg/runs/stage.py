"""Stages: steps of a run that are done once, skipped while fresh and resumed after a kill."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from wsseg.files import discard_partial, read_record, write_json
from wsseg.runs.progress import log

CHECKPOINTS = "checkpoint"
"""Folder of a stage with the checkpoints from which a training resumes; removed at its end."""

_LOADED = 8  # results of stages that a process keeps in memory

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class StageManifest:
    """The record of a complete stage.

    Attributes:
        stage: Name of the stage.
        key: Hash of its inputs.
        upstream: Keys of the stages of the same run that it was made from, by name.
        seconds: Duration, summed over interrupted attempts.
        results: Values that depend on the kind of stage, such as "loss" of a training.
    """

    stage: str
    key: str
    upstream: dict[str, str]
    seconds: float
    results: dict[str, Any] = field(default_factory=dict)


class LabelMaps(Mapping[str, NDArray[np.uint8]]):
    """Label maps (H, W) of a stage by image id; each is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, identity: str) -> NDArray[np.uint8]:
        path = self._folder / f"{identity}.png"
        if not path.is_file():
            raise KeyError(identity)
        # `wsseg --help` and the doctor do without OpenCV.
        from wsseg.labelmaps import read_label_map  # noqa: PLC0415

        return read_label_map(path)

    def __iter__(self) -> Iterator[str]:
        files = self._folder.rglob("*.png")
        return iter(sorted(f.relative_to(self._folder).with_suffix("").as_posix() for f in files))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class Stage:
    """One step of a run with a folder of its own.

    Args:
        name: Name such as "round-1", relative to the folder of the run.
        key: Hash of inputs, settings and the version of wsseg.
        upstream: Names and keys of the stages of the same run that it is made from.
    """

    name: str
    path: Path
    key: str
    upstream: dict[str, str]

    @property
    def manifest(self) -> StageManifest | None:
        """The record of the stage; None while it is incomplete or was made from other inputs."""
        manifest = read_manifest(self.path)
        return manifest if manifest and manifest.key == self.key else None

    @property
    def is_complete(self) -> bool:
        """True if the stage can be skipped."""
        return self.manifest is not None

    @property
    def results(self) -> dict[str, Any]:
        """The results in the manifest; empty while the stage is incomplete."""
        return self.manifest.results if self.manifest else {}

    @property
    def skipped(self) -> dict[str, str]:
        """Images that could not be used, by id, and the reasons."""
        return dict(self.results.get("skipped", {}))

    @property
    def labels(self) -> LabelMaps:
        """Label maps of a stage that has some, by image id."""
        return LabelMaps(self.path / "labels")

    def run(self, work: Callable[[], Mapping[str, Any]], *, intact: bool = True) -> "Stage":
        """Do the work of the stage, unless it is complete.

        Files of an interrupted attempt with the same key are kept for ``work``; those of another
        key are removed. The manifest is written last.

        Args:
            work: Writes into the folder of the stage and returns the results for the manifest.
            intact: False does the work of a complete stage again, because its files are damaged.

        Returns:
            This stage, complete.
        """
        if self.is_complete and intact:
            log(f"{self.name}: up to date")
            return self
        self._prepare()
        start, before = time.monotonic(), self._attempt()["seconds"]
        try:
            results = work()
        except BaseException:
            with suppress(OSError):  # On a full disk, the error to report is that of the work.
                self._record_seconds(before + time.monotonic() - start)
            raise
        discard_partial(self.path)  # Lost workers and nodes may have left some.
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)
        seconds = self._record_seconds(before + time.monotonic() - start)
        manifest = StageManifest(self.name, self.key, self.upstream, seconds, dict(results))
        write_json(self.path / "manifest.json", vars(manifest))
        return self

    def load(
        self, reader: Callable[Concatenate[Path, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what a function reads from the folder of the stage.

        The result is kept in memory until other stages need the room or the key changes.

        Args:
            reader: Called with the folder and the further arguments, which must be hashable.
        """
        result: T = _load(reader, self.path, self.key, args, tuple(kwargs.items()))
        return result

    def _prepare(self) -> None:
        if self._attempt()["key"] != self.key:
            for entry in self.path.glob("*"):
                _remove(entry)
            write_json(self.path / "attempt.json", {"key": self.key, "seconds": 0.0})
        (self.path / "manifest.json").unlink(missing_ok=True)
        discard_partial(self.path)

    def _record_seconds(self, seconds: float) -> float:
        """Keep the duration of all attempts together."""
        rounded = round(seconds, 3)
        write_json(self.path / "attempt.json", {"key": self.key, "seconds": rounded})
        return rounded

    def _attempt(self) -> dict[str, Any]:
        return {"key": None, "seconds": 0.0, **read_record(self.path / "attempt.json")}


def read_manifest(folder: Path) -> StageManifest | None:
    """Return the manifest in the folder of a stage; None if it is missing or damaged."""
    record = read_record(folder / "manifest.json")
    try:
        return StageManifest(**record)
    except TypeError:
        return None


def finished_stage(
    run: Path, name: str, known: dict[str, Stage | None] | None = None
) -> Stage | None:
    """Return a complete stage on disk, whatever the settings it was made with.

    Args:
        run: Folder of the run.
        known: Results for stages examined before; the function adds to them.

    Returns:
        The stage; None if it is incomplete, or if a stage that it is made from is missing or has
        been replaced since.
    """
    known = {} if known is None else known
    if name not in known:
        found = read_manifest(run / name)
        known[name] = Stage(name, run / name, found.key, found.upstream) if found else None
        for upstream, key in found.upstream.items() if found else ():
            above = finished_stage(run, upstream, known)
            if above is None or above.key != key:
                known[name] = None
    return known[name]


def stages_before(run: Path, name: str) -> list[str]:
    """Return the names of the stages that a stage on disk is made from, directly or not.

    Returns:
        Names, each after those that it is made from itself.
    """
    names: dict[str, None] = {}

    def visit(name: str) -> None:
        stage = finished_stage(run, name)
        for upstream in stage.upstream if stage else ():
            if upstream not in names:
                visit(upstream)
                names[upstream] = None

    visit(name)
    return list(names)


@lru_cache(maxsize=_LOADED)
def _load(reader: Any, folder: Path, key: str, args: Any, kwargs: Any) -> Any:  # noqa: ARG001
    # The key makes the cache forget what was read from the folder under another key.
    return reader(folder, *args, **dict(kwargs))


def _remove(entry: Path) -> None:
    if not entry.is_dir():
        entry.unlink()
    elif not (entry / "attempt.json").exists():  # otherwise it is a stage of its own
        shutil.rmtree(entry)
