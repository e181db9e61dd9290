import tempfile
from pathlib import Path

import pytest

from wsseg.cli.doctor import places
from wsseg.runs.run import open_run


def looked(config):
    return {each.subject: each for each in places.look(config)}


def test_a_new_folder_is_not_made(configured):
    config = configured()
    found = looked(config)
    assert found["run_dir"].state == found["temporary folder"].state == "ok"
    assert "a new folder" in found["run_dir"].found
    assert not config.run_dir.exists()


def test_nothing_is_left_in_a_folder_that_is_there(configured):
    config = configured()
    with open_run(config):
        pass
    before = sorted(config.run_dir.iterdir())
    assert looked(config)["run_dir"].state == "ok"
    assert sorted(config.run_dir.iterdir()) == before


def test_a_run_at_work_is_a_problem(configured):
    config = configured()
    with open_run(config):
        found = looked(config)["run_dir"]
    assert found.state == "problem" and "in use by another process" in found.found
    assert "wait for it" in found.remedy
    assert looked(config)["run_dir"].state == "ok"


def test_other_files_are_a_problem(configured):
    config = configured()
    config.run_dir.mkdir()
    (config.run_dir / "thesis.tex").write_text("")
    found = looked(config)["run_dir"]
    assert found.state == "problem" and "new, empty or a run" in found.found


@pytest.mark.parametrize("below", ["", "/deep/below"])
def test_a_folder_that_cannot_be_made_is_a_problem(configured, tmp_path, below):
    (tmp_path / "file").write_text("")
    assert looked(configured(f"run_dir={tmp_path}/file{below}"))["run_dir"].state == "problem"


def test_a_full_disk_is_a_problem(configured, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device", "/there/file")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    found = looked(configured())
    assert found["run_dir"].state == found["temporary folder"].state == "problem"
    assert "No space left on device" in found["run_dir"].found
    assert "TMPDIR" in found["temporary folder"].remedy


def test_no_temporary_folder_is_a_problem(configured, monkeypatch):
    def missing():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", missing)
    found = looked(configured())["temporary folder"]
    assert found.state == "problem" and "No usable temporary directory" in found.found


def test_the_nearest_folder_there_is(tmp_path):
    assert places.nearest_folder(tmp_path / "a" / "b") == tmp_path
    assert places.nearest_folder(Path("no/such")) == Path.cwd()
