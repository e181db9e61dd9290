"""A full disk: one line names the file, and the same command continues once there is space."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.killing import Killer, assert_same_run
from helpers.running import hashes, wsseg

REMEDY = "No space left on device; free some space and run the same command again"
NO_CHECKPOINT = "machine.checkpoint_every=100"
Mount = Callable[[int], Path]


@pytest.fixture
def disk(tmp_path):
    """Creates a disk of some KiB in memory, or enlarges it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size):
        kept = "remount," if folder.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{kept}size={size}k", "tmpfs", str(folder)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode:
            pytest.skip(f"mounting is not permitted here: {found.stderr.strip()}")
        return folder

    yield mount
    subprocess.run(["umount", folder], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("options", "growth", "places"),
    [
        ([], 2.0, {"seeds/labels", "round-1/model/checkpoint"}),
        ([NO_CHECKPOINT], 3.0, {"round-1/model"}),
        pytest.param([], 1.2, {"seeds/quality", "round-2/model"}, marks=pytest.mark.slow),
        pytest.param([NO_CHECKPOINT, "machine.workers=2"], 3.0, set(), marks=pytest.mark.slow),
        pytest.param(["loggers=[tensorboard]"], 1.2, {"round-1"}, marks=pytest.mark.slow),
        pytest.param(["loggers=[mlflow]", NO_CHECKPOINT], 1.7, {"round-1"}, marks=pytest.mark.slow),
    ],
)
def test_a_run_on_a_disk_that_is_too_small_goes_on_each_time_it_grows(
    finished,
    scenes,
    config_file,
    tmp_path,
    disk,
    options,
    growth,
    places,
):
    size, filled, run = 10, set[str](), disk(10) / "run"
    given = ["run", config_file, f"data.root={scenes}", f"run_dir={run}", *options]
    runner = Killer(given, tmp_path / "log")
    while (found := runner.attempt())[0]:
        code, output = found
        errors = [line for line in output.splitlines() if "rror" in line]
        assert code == 1 and "Traceback" not in output and len(errors) == 1, output
        assert errors[0].startswith(f"error: {run}/") and errors[0].endswith(f": {REMEDY}")
        filled.add(errors[0].removeprefix(f"error: {run}/").rsplit("/", 1)[0])
        size = round(size * growth)
        disk(size)
    assert places <= filled
    assert hashes(run) == hashes(finished)
    if not options:
        assert_same_run(run, finished)


def test_a_report_on_a_full_disk(finished, scenes, config_file, tmp_path, disk):
    run = disk(100_000) / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("report"))
    report = sum(path.stat().st_size for path in (finished / "report").rglob("*"))
    disk((shutil.disk_usage(run).used + report // 2) // 1024)
    runner = Killer(["run", config_file, f"data.root={scenes}", f"run_dir={run}"], tmp_path / "log")
    code, output = runner.attempt()
    assert code == 1 and "Traceback" not in output
    (error,) = [line for line in output.splitlines() if "error" in line]
    assert error.startswith(f"error: {run}/report/") and error.endswith(f": {REMEDY}")
    disk(100_000)
    runner.finish()
    assert_same_run(run, finished)


def test_generated_scenes_on_a_full_disk(config_file, tmp_path, disk, capsys):
    root = disk(200) / "scenes"
    given = [config_file, "data.format=scenes", f"data.root={root}", f"run_dir={tmp_path / 'run'}"]
    given += ["rounds.count=0"]
    assert wsseg("run", *given) == 1
    output = capsys.readouterr().err
    assert f"error: {root}: {REMEDY}" in output
    disk(20_000)
    assert wsseg("run", *given) == 0
