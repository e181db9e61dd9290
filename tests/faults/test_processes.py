"""Several processes: two runs in one folder, workers of a killed run, and Ctrl-C."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.killing import Killer, assert_same_run, manifests
from helpers.running import ROOT, hashes, wsseg

from wsseg.errors import InputError
from wsseg.runs.folder import folder_lock
from wsseg.stages.export import new_folder

ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
INTERRUPTED = "interrupted; the same command continues from here\n"
INTERRUPTIBLE = """
import signal
from wsseg.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if the tests run with `&`
main()
"""
ONE_AT_WORK = "is in use by another process; wait for it"

HOLD = """
import time
from pathlib import Path
from wsseg.runs.run import open_run

def main(config):
    with open_run(config):
        while not Path({go!r}).exists():
            time.sleep(0.01)
"""

SLOW = """
import time
import numpy as np
from pathlib import Path
from wsseg.data.model import Sample
from wsseg.runs.labelling import label_images
from wsseg.runs.run import open_run

def main(config):
    with open_run(config) as run:
        samples = [Sample(f"{n:02d}", Path("none"), (9, 9), (), "train") for n in range(40)]
        label_images(run, run.stage("seeds", seed=config.seed), label, samples)

def label(sample):
    time.sleep(0.1 if sample.id > '03' else 0)
    return np.full(sample.size, int(sample.id), np.uint8), {int(sample.id): {"resets": 1}}
"""


def until(condition):
    """Wait for a condition that must become true."""
    end = time.monotonic() + 600  # only a hang takes longer
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def slow(tmp_path, scenes, config_file):
    """Runs of one slow stage with two workers."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW)

    def runner(name, *overrides):
        given = [
            config_file,
            f"data.root={scenes}",
            f"pipeline={script}",
            "machine.workers=2",
            *overrides,
        ]
        return Killer(["run", *given, f"run_dir={tmp_path / name}"], tmp_path / f"{name}.log")

    return runner


@pytest.mark.parametrize("attempt", range(5))
def test_of_runs_started_at_once_in_one_folder_one_goes_on(scenes, config_file, tmp_path, attempt):
    go, run = tmp_path / "go", tmp_path / "run"
    (tmp_path / "hold.py").write_text(HOLD.format(go=str(go)))
    given = [config_file, f"data.root={scenes}", f"pipeline={tmp_path / 'hold.py'}"]
    runs = [
        Killer(["run", *given, f"run_dir={run}"], tmp_path / f"{n}.log", attempt) for n in range(3)
    ]
    processes = [each.start() for each in runs]
    until(lambda: sum(process.exitcode is None for process in processes) == 1)
    winner = next(process for process in processes if process.exitcode is None)
    for process, each in zip(processes, runs, strict=True):
        if process is not winner:
            assert process.exitcode == 2
            assert each.log.read_text() == f"error: run_dir {run} {ONE_AT_WORK} or choose another\n"
    winner.kill()  # the folder is free at once
    winner.join()
    go.touch()
    runs[0].finish()


def test_workers_end_with_a_killed_run_and_the_next_ends_as_an_unbroken_one(slow, tmp_path):
    slow("whole", "machine.workers=1").finish()
    run, runner, moment = tmp_path / "run", slow("run"), random.Random(0)
    for _ in range(3):
        done = len(list(run.glob("seeds/labels/*.png")))
        process = runner.start()
        until(lambda done=done: len(list(run.glob("seeds/labels/*.png"))) > done)
        workers = children(process.pid)
        time.sleep(moment.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL and len(workers) >= 2
        until(lambda workers=workers: not any(map(is_alive, workers)))
    runner.finish()
    assert hashes(run) == hashes(tmp_path / "whole")
    assert manifests(run)["seeds"]["results"]["images"] == 40


def children(process):
    """Return the worker processes, which are started as ``python -m joblib...``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = path.with_name("cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if parent == process and b"resource_tracker" not in command:
            found.append(int(path.parent.name))
    return found


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_in_a_label_stage_with_workers(slow, tmp_path):
    slow("whole", "machine.workers=1").finish()
    run, runner = tmp_path / "run", slow("run")
    command = [sys.executable, "-c", INTERRUPTIBLE, *runner.arguments]
    process = subprocess.Popen(
        [*map(str, command)], start_new_session=True, stderr=subprocess.PIPE, text=True, env=ENV
    )
    until(lambda: list(run.glob("seeds/labels/*.png")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, output = process.communicate()
    assert (process.returncode, output) == (130, INTERRUPTED)
    assert not manifests(run)
    runner.finish()
    assert hashes(run) == hashes(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["round-1/model", "round-1"])
def test_ctrl_c_in_a_training_and_in_a_label_stage(finished, scenes, config_file, tmp_path, stage):
    run = tmp_path / "run"
    given = ["run", config_file, f"data.root={scenes}", f"run_dir={run}"]
    runner = Killer(given, tmp_path / "log")
    code, output = runner.interrupt_in(stage, 0.5 * manifests(finished)[stage]["seconds"])
    assert code == 130, output
    assert (
        output.endswith(INTERRUPTED)
        and "Traceback" not in output
        and output.count("interrupted") == 1
    )
    assert not (run / stage / "manifest.json").exists()
    runner.finish()
    assert_same_run(run, finished)


def test_commands_that_write_into_a_folder_in_use_are_refused(finished, scenes, tmp_path, capsys):
    chosen = ["select", scenes, "--budget", "2", "--out"]
    commands = {
        finished / "report": ["report", finished],
        tmp_path / "audit": ["audit", finished, "--out", tmp_path / "audit"],
        tmp_path / "predicted": ["predict", finished, scenes, "--out", tmp_path / "predicted"],
        tmp_path / "chosen": [*chosen, tmp_path / "chosen"],
    }
    for folder, command in commands.items():
        with folder_lock(folder, "test"):
            assert wsseg(*command) == 2
        output = capsys.readouterr().err
        assert output.count("error: ") == 1 and ONE_AT_WORK in output


def test_of_two_exports_at_once_the_slower_is_refused(tmp_path):
    with (
        pytest.raises(InputError, match="a new or empty folder, got one with files"),
        new_folder(tmp_path / "out") as slower,
    ):
        (slower / "a").touch()
        with new_folder(tmp_path / "out") as faster:
            (faster / "b").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]
