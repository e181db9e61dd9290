import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from helpers.running import wsseg

from wsseg.cli.doctor import machine
from wsseg.runs.run import open_run

GIB = 1024**3


class Usage(NamedTuple):
    total: float
    free: float


def by_subject(checks):
    return {check.subject: check for check in checks}


def test_a_machine_without_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    checks = by_subject(machine.check_devices())
    assert checks["CPU"].state == checks["GPU"].state == "ok"
    assert "CPU" in checks["GPU"].message


def test_every_gpu_and_its_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (number * GIB, 8 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"card {number}")
    checks = by_subject(machine.check_devices())
    assert "GPU" not in checks
    assert checks["GPU 0"].message == "card 0, 0.0 of 8.0 GiB free"
    assert checks["GPU 1"].message == "card 1, 1.0 of 8.0 GiB free"


@pytest.mark.parametrize(("size", "state"), [(64 * 1024**2, "warning"), (GIB, "ok")])
def test_too_little_shared_memory_is_a_warning(monkeypatch, tmp_path, size, state):
    monkeypatch.setattr(machine, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(size, size))
    check = by_subject(machine.check_devices())["shared memory"]
    assert check.state == state
    assert ("--shm-size" in check.remedy) == (state == "warning")


def test_numba_compiles_and_caches_the_result():
    pytest.importorskip("numba")
    (check,) = machine.check_compiler()
    assert check.state == "ok", check
    folder = Path(check.message.rpartition(" in ")[2])
    assert folder.is_dir() and not list(folder.glob(".partial-*"))


def test_a_compiler_that_fails_is_a_problem(monkeypatch):
    def broken(_):
        raise RuntimeError("no LLVM")

    monkeypatch.setattr(pytest.importorskip("numba"), "njit", broken)
    (check,) = machine.check_compiler()
    assert check.state == "problem" and "no LLVM" in check.message


def test_a_new_folder_is_not_made(configured):
    config = configured()
    checks = by_subject(machine.check_folders(config.run_dir))
    assert checks["run_dir"].state == checks["temporary folder"].state == "ok"
    assert "(a new folder)" in checks["run_dir"].message
    assert not config.run_dir.exists()


def test_an_existing_folder_is_left_as_it_was(configured):
    config = configured()
    with open_run(config):
        pass
    before = sorted(config.run_dir.iterdir())
    assert by_subject(machine.check_folders(config.run_dir))["run_dir"].state == "ok"
    assert sorted(config.run_dir.iterdir()) == before


def test_a_run_in_progress_is_a_problem(configured):
    config = configured()
    with open_run(config):
        check = by_subject(machine.check_folders(config.run_dir))["run_dir"]
    assert check.state == "problem" and "wait for it" in check.remedy


def test_other_files_are_a_problem(configured):
    config = configured()
    config.run_dir.mkdir()
    (config.run_dir / "thesis.tex").write_text("")
    check = by_subject(machine.check_folders(config.run_dir))["run_dir"]
    assert check.state == "problem" and "new, empty or a run" in check.message


@pytest.mark.parametrize("below", ["", "deep/below"])
def test_a_folder_that_cannot_be_made_is_a_problem(tmp_path, below):
    (tmp_path / "file").write_text("")
    checks = by_subject(machine.check_folders(tmp_path / "file" / below))
    assert checks["run_dir"].state == "problem"


def test_a_full_disk_is_a_problem(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device", "/there/file")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    checks = by_subject(machine.check_folders(tmp_path / "run"))
    assert checks["run_dir"].state == checks["temporary folder"].state == "problem"
    assert "No space left on device" in checks["run_dir"].message
    assert "TMPDIR" in checks["temporary folder"].remedy


@pytest.mark.parametrize(("free", "state"), [(1.9e9, "warning"), (2.1e9, "ok")])
def test_less_than_2_gb_of_free_space_is_a_warning(tmp_path, monkeypatch, free, state):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Usage(0, free))
    check = machine.check_disk(tmp_path / "deep" / "run")
    assert check.state == state and check.message == f"{free / 1e9:.1f} GB free"
    assert asked == [tmp_path]


@pytest.mark.parametrize(("free", "count"), [(1e9, 1), (1e10, 0)])
def test_a_run_warns_of_too_little_space_and_goes_on(
    config_file, scenes, tmp_path, monkeypatch, capsys, free, count
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, free))
    arguments = [config_file, f"run_dir={tmp_path}/run", f"data.root={scenes}", "rounds.count=0"]
    assert wsseg("run", *arguments) == 0
    assert capsys.readouterr().err.count("warning: disk: 1.0 GB free") == count
    assert (tmp_path / "run" / "report" / "index.html").exists()
