"""Run commands in forked processes, kill them with SIGKILL, and resume them.

One process imports everything that a run needs; each attempt is a fork of it and starts at once.
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
    """Starts the same command repeatedly, and kills or interrupts it.

    Args:
        arguments: Arguments of the command line, such as "run".
        log: The file for the output of all attempts.
        seed: Seed of the random moments.
    """

    arguments: Sequence[object]
    log: Path
    seed: int = 0
    kills: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.random = random.Random(self.seed)

    def kill_in(self, stage, seconds):
        """Kill the command at a random moment within the first seconds of a stage.

        An attempt that is faster waits before it writes the manifest.
        """
        receiver, tell = multiprocessing.Pipe(duplex=False)
        process = self._started(stage, tell)
        assert receiver.poll(_TIMEOUT), f"{stage} was not reached:\n{self.log.read_text()}"
        receiver.recv()
        time.sleep(self.random.uniform(0, seconds))
        self._kill(process, stage)

    def kill_within(self, seconds):
        """Kill the command at a random moment of its first seconds; False if it ended before."""
        process = self._started(None, None)
        process.join(self.random.uniform(0, seconds))
        if process.exitcode is not None:
            assert process.exitcode == 0, self.log.read_text()
            return False
        self._kill(process, "any")
        return True

    def attempt(self):
        """Run the command to its end, and return its exit code and output."""
        self.log.unlink(missing_ok=True)
        process = self._started(None, None)
        process.join()
        return process.exitcode, self.log.read_text()

    def finish(self):
        """Run the command to its end without an error."""
        code, output = self.attempt()
        assert code == 0, output

    def interrupt_in(self, stage, seconds):
        """Interrupt the command and its workers in a stage, as Ctrl-C does."""
        self.log.unlink(missing_ok=True)
        receiver, tell = multiprocessing.Pipe(duplex=False)
        process = self._started(stage, tell)
        assert receiver.poll(_TIMEOUT), f"{stage} was not reached:\n{self.log.read_text()}"
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        process.join()
        return process.exitcode, self.log.read_text()

    def start(self):
        """Start the command and return its process."""
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
    """Kill a run in each stage, twice in trainings, and then run it to its end.

    Args:
        run: The folder of the run.
        whole: The folder of an uninterrupted run.
    """
    for stage, manifest in manifests(whole).items():
        for _ in range(2 if "loss" in manifest["results"] else 1):
            killer.kill_in(stage, manifest["seconds"])
            assert not (run / stage / "manifest.json").exists()
    killer.kill_in(REPORT, 0.3)
    killer.finish()


def assert_same_run(run, whole):
    """Assert that two runs are the same bit by bit, except seconds."""
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
    """Return the manifests of a run by stage, in the order in which the stages ended."""
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
    os._exit(wsseg(*arguments))  # the exit handlers of multiprocessing would wait for idle workers


def _watch(stage, tell):
    """Report the start of a stage or of the report, and wait at its end."""

    @contextmanager
    def watched(name):
        if name == stage:
            tell.send(name)
        yield
        if name == stage:
            time.sleep(_TIMEOUT)

    run_stage, report_run = Stage.run, run_report.report_run

    def watched_stage(self, work, **options):
        def watched_work():
            with watched(self.name):
                return work()

        return run_stage(self, watched_work, **options)

    def watched_report(*arguments, **named):
        with watched(REPORT):
            return report_run(*arguments, **named)

    Stage.run, run_report.report_run = watched_stage, watched_report


def _found(run, pattern):
    return {str(path.relative_to(run)) for path in run.glob(pattern) if path.is_file()}


def _contents(run, pattern):
    return {name: (run / name).read_bytes() for name in _found(run, pattern)}


def _tensors(content):
    """Return the tensors of a checkpoint; zeros replace other values."""
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
