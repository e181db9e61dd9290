"""Runs in processes of their own that are forked in a moment, killed with SIGKILL, and go on.

A process that imports all that a run needs is started once; each attempt is a fork of it.
"""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.running import ROOT, hashes, wsseg

from wsseg.report import run_report
from wsseg.runs.stage import Stage

REPORT = "report"
_TIMEOUT = 600  # seconds; only a hang takes longer, however busy the machine is


@dataclass
class Killer:
    """Starts a command again and again, and kills it.

    Args:
        arguments: Of the command line, such as "run".
        log: What the attempts print.
        seed: Of the moments.
    """

    arguments: Sequence[object]
    log: Path
    seed: int = 0
    kills: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.random = random.Random(self.seed)

    def kill_in(self, stage, seconds):
        """Kill it at a random moment while a stage is at work, that takes so many seconds.

        An attempt that is faster waits at the stage's end, before the manifest, to be killed.
        """
        told, tell = multiprocessing.Pipe(duplex=False)
        process = self._started(stage, tell)
        assert told.poll(_TIMEOUT), f"{stage} was not reached:\n{self.log.read_text()}"
        told.recv()
        time.sleep(self.random.uniform(0, seconds))
        self._kill(process, stage)

    def kill_within(self, seconds):
        """Kill it at a random moment of its first seconds; False where it had ended by then."""
        process = self._started(None, None)
        process.join(self.random.uniform(0, seconds))
        if process.exitcode is not None:
            assert process.exitcode == 0, self.log.read_text()
            return False
        self._kill(process, "any")
        return True

    def attempt(self):
        """Let it come to its end; its exit code and what it told."""
        self.log.unlink(missing_ok=True)
        process = self._started(None, None)
        process.join()
        return process.exitcode, self.log.read_text()

    def finish(self):
        """Let it come to its end without an error."""
        code, told = self.attempt()
        assert code == 0, told

    def interrupt_in(self, stage, seconds):
        """Interrupt it and its workers as Ctrl-C does, while a stage is at work."""
        self.log.unlink(missing_ok=True)
        told, tell = multiprocessing.Pipe(duplex=False)
        process = self._started(stage, tell)
        assert told.poll(_TIMEOUT), f"{stage} was not reached:\n{self.log.read_text()}"
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        process.join()
        return process.exitcode, self.log.read_text()

    def start(self):
        """Start it and return its process."""
        return self._started(None, None)

    def _started(self, stage, tell):
        process = _forks().Process(target=_attempt, args=(self.arguments, self.log, stage, tell))
        process.start()
        if tell:
            tell.close()
        return process

    def _kill(self, process, stage):
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, self.log.read_text()
        self.kills.append(stage)


def kill_in_every_stage(killer, run, whole):
    """Kill a run in each stage of an unbroken one, twice in trainings, and let it come to its end.

    Args:
        killer: Of the run.
        run: Its folder.
        whole: The folder of the unbroken run.
    """
    for stage, manifest in manifests(whole).items():
        for _ in range(2 if "loss" in manifest["results"] else 1):
            killer.kill_in(stage, manifest["seconds"])
            assert not (run / stage / "manifest.json").exists()
    killer.kill_in(REPORT, 0.3)
    killer.finish()


def assert_same_run(run, whole):
    """Check that two runs are the same, bit by bit, apart from seconds."""
    assert hashes(run) == hashes(whole)
    for pattern in ("**/*.png", "**/*.npz", "**/*.js"):
        assert _contents(run, pattern) == _contents(whole, pattern)
    assert manifests(run).keys() == manifests(whole).keys()
    for stage in manifests(whole):
        assert _timeless(run / stage / "manifest.json") == _timeless(
            whole / stage / "manifest.json"
        )
    for table in _found(whole, "**/*.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(run / table), pd.read_parquet(whole / table))
    for network in _found(whole, "**/*.ckpt"):
        same = [torch.load(folder / network, weights_only=True) for folder in (run, whole)]
        torch.testing.assert_close(*map(_tensors, same), rtol=0, atol=0)
    assert _found(run, "**/*") == _found(whole, "**/*")
    assert _timeless(run / "report/summary.json") == _timeless(whole / "report/summary.json")


def manifests(run):
    """The manifests of a run by stage, in the order in which the stages ended."""
    found = sorted(run.glob("**/manifest.json"), key=lambda path: path.stat().st_mtime_ns)
    return {str(path.parent.relative_to(run)): json.loads(path.read_text()) for path in found}


def _forks():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.preloaded"])
    with pytest.MonkeyPatch.context() as patched:  # Python 3.11's server knows no sys.path
        patched.setenv("PYTHONPATH", os.pathsep.join(map(str, [ROOT, ROOT / "tests"])))
        patched.setenv("OMP_NUM_THREADS", "1")
        forkserver.ensure_running()
    return context


def _attempt(arguments, log, stage, tell):
    # A shell starts background commands with SIGINT ignored, which children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.setsid()
    torch.set_num_threads(1)
    if tell:
        _watch(stage, tell)
    os._exit(wsseg(*arguments))  # what multiprocessing does at the end waits for idle workers


def _watch(stage, tell):
    """Tell when a stage, or the report, is at work, and never come to its end."""

    @contextmanager
    def watched(name):
        if name == stage:
            tell.send(name)
        yield
        if name == stage:
            time.sleep(_TIMEOUT)

    work, report_run = Stage.work, run_report.report_run

    @contextmanager
    def watched_work(self):
        with work(self) as record, watched(self.name):
            yield record

    def watched_report(*arguments, **named):
        with watched(REPORT):
            return report_run(*arguments, **named)

    Stage.work, run_report.report_run = watched_work, watched_report


def _found(run, pattern):
    return {str(path.relative_to(run)) for path in run.glob(pattern) if path.is_file()}


def _contents(run, pattern):
    return {name: (run / name).read_bytes() for name in _found(run, pattern)}


def _tensors(content):
    """A network's content without what is no tensor, by place."""
    if isinstance(content, dict):
        return {key: _tensors(value) for key, value in content.items()}
    return content if isinstance(content, torch.Tensor) else torch.zeros(0)


def _timeless(path):
    return _without_seconds(json.loads(path.read_text()))


def _without_seconds(value):
    if isinstance(value, dict):
        skipped = ("seconds", "run_dir", "machine")
        return {key: _without_seconds(each) for key, each in value.items() if key not in skipped}
    return [*map(_without_seconds, value)] if isinstance(value, list) else value
