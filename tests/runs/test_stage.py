import json
from pathlib import Path

import pytest

from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.files import PARTIAL, fingerprint
from wsseg.runs.config import Config
from wsseg.runs.stage import Run, finished_stage, open_run, stages_before


@pytest.fixture
def config(tmp_path):
    return Config(run_dir=tmp_path / "run", data=DataParams(root=tmp_path))


def test_stage_is_complete_only_after_its_work(config):
    stage = Run(config.run_dir, config).stage("seeds", x=1)
    with stage.work() as record:
        record["images"] = 3
        assert not stage.is_complete
    assert stage.manifest["images"] == 3
    assert stage.manifest["seconds"] >= 0


def test_failed_work_leaves_no_manifest_and_keeps_files(config):
    stage = Run(config.run_dir, config).stage("seeds", x=1)
    with pytest.raises(RuntimeError), stage.work():
        (stage.path / "part.txt").write_text("done")
        raise RuntimeError
    assert not stage.is_complete
    with stage.work():
        assert (stage.path / "part.txt").read_text() == "done"


def test_other_inputs_discard_old_files_but_not_stages_below(config):
    run = Run(config.run_dir, config)
    old, below = run.stage("round-1", x=1), run.stage("round-1/model", x=1)
    with old.work():
        (old.path / "labels").mkdir()
    with below.work():
        pass
    new = run.stage("round-1", x=2)
    assert not new.is_complete
    with new.work():
        assert not (new.path / "labels").exists()
    assert below.is_complete


def test_key_depends_on_upstream_stages(config):
    run = Run(config.run_dir, config)
    keys = {run.stage("b", labels=run.stage("a", x=x)).key for x in (1, 1, 2)}
    assert len(keys) == 2


@pytest.mark.parametrize("content", ["{", "[1]", "null", ""])
def test_damaged_manifest_is_not_complete(config, content):
    stage = Run(config.run_dir, config).stage("seeds")
    with stage.work():
        pass
    (stage.path / "manifest.json").write_text(content)
    assert not stage.is_complete


def test_open_run_records_settings_and_environment(config):
    with open_run(config) as run:
        environment = json.loads((run.path / "environment.json").read_text())
        assert environment["seed"] == config.seed
        assert (run.path / "config.yaml").exists()


def test_second_run_on_one_folder_is_refused(config):
    with open_run(config), pytest.raises(InputError, match="used by one process"), open_run(config):
        pass


def test_run_refuses_a_folder_with_other_files(config):
    config.run_dir.mkdir()
    (config.run_dir / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="choose another"), open_run(config):
        pass
    assert (config.run_dir / "thesis.txt").exists()


def test_fingerprint_of_a_missing_file(tmp_path):
    assert fingerprint(tmp_path / "none") == ("none", -1, -1)


def test_fingerprint_of_no_file_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    before = fingerprint(Path())
    monkeypatch.chdir(tmp_path)
    assert fingerprint(Path()) == before == ("", -1, -1)


def test_a_run_folder_that_is_a_file_is_refused(config):
    config.run_dir.parent.mkdir(exist_ok=True)
    config.run_dir.write_text("notes")
    with pytest.raises(InputError, match="a folder, got a file"), open_run(config):
        pass


def test_a_stage_is_not_finished_once_what_it_was_made_from_is_made_anew(config):
    run = Run(config.run_dir, config)
    labels = run.stage("seeds", x=1)
    model = run.stage("round-1/model", labels=labels)
    for stage in (labels, model):
        with stage.work():
            pass
    assert finished_stage(run.path, "round-1/model")["key"] == model.key
    with run.stage("seeds", x=2).work():
        assert not finished_stage(run.path, "round-1/model")
    assert finished_stage(run.path, "seeds") and not finished_stage(run.path, "round-1/model")


def test_files_that_a_kill_cut_off_are_removed(config):
    stage = Run(config.run_dir, config).stage("seeds")
    with pytest.raises(RuntimeError), stage.work():
        (stage.path / "labels").mkdir()
        (stage.path / "labels" / f"{PARTIAL}x").touch()
        raise RuntimeError
    with stage.work():
        assert not list(stage.path.rglob(f"{PARTIAL}*"))


def test_no_git_is_no_error(config, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with open_run(config) as run:
        assert json.loads((run.path / "environment.json").read_text())["commit"] is None


def test_a_folder_that_a_kill_left_before_its_settings_is_opened(config):
    config.run_dir.mkdir()
    (config.run_dir / ".lock").touch()
    (config.run_dir / f"{PARTIAL}x").touch()
    with open_run(config) as run:
        assert (run.path / "config.yaml").exists()


def test_stages_before_are_those_it_is_made_from(config):
    run = Run(config.run_dir, config)
    first = run.stage("first")
    left, right = run.stage("left", one=first), run.stage("right", one=first)
    last = run.stage("last", left=left, right=right)
    for stage in (first, left, right, last, run.stage("unused", one=first)):
        with stage.work():
            pass
    assert stages_before(config.run_dir, "last") == ["first", "left", "right"]
    assert stages_before(config.run_dir, "first") == []
    assert stages_before(config.run_dir, "absent") == []
