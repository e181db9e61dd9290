import os
import subprocess
import sys
from pathlib import Path

import pytest

from wsseg.cli.doctor import compiler

ROOT = Path(__file__).parents[3]


def test_it_compiles_and_keeps_the_result():
    numba = pytest.importorskip("numba")
    (found,) = compiler.look()
    assert found.state == "ok", found
    folder = Path(found.found.rpartition(" in ")[2])
    assert folder.is_dir()
    assert not list(folder.glob(".partial-*"))
    assert numba.__version__


def test_no_folder_for_the_cache_is_told():
    found = compiler._kept(None)
    assert found.state == "warning" and "NUMBA_CACHE_DIR" in found.remedy


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    found = compiler._kept(tmp_path / "file" / "cache")
    assert found.state == "warning" and "cannot be written to" in found.found


def test_a_compiler_that_fails_is_a_problem(monkeypatch):
    def broken(_):
        raise RuntimeError("no LLVM")

    monkeypatch.setattr(pytest.importorskip("numba"), "njit", broken)
    (found,) = compiler.look()
    assert found.state == "problem" and "no LLVM" in found.found


def test_without_numba_torch_takes_its_place():
    script = "from wsseg.cli.doctor import compiler; print(*compiler.look())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    )
    assert "state='warning'" in done.stdout and "torch takes its place" in done.stdout
