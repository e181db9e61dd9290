from pathlib import Path

import pytest
from helpers.running import working

from wsseg.data.params import DataParams
from wsseg.files import PARTIAL, fingerprint
from wsseg.runs.config import Config
from wsseg.runs.run import Run
from wsseg.runs.stage import finished_stage, stages_before


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run", Config(run_dir=tmp_path / "run", data=DataParams(root=tmp_path)))


def fail():
    raise RuntimeError


def test_stage_is_complete_only_after_its_work(run):
    stage = run.stage("seeds", x=1)
    assert stage.manifest is None and stage.results == {}

    def work():
        assert not stage.is_complete
        return {"images": 3}

    assert stage.run(work) is stage
    assert stage.results == {"images": 3} and stage.manifest.seconds >= 0


def test_a_complete_stage_is_not_run_again(run, capsys):
    stage = run.stage("seeds").run(dict)
    assert stage.run(fail).is_complete
    assert "seeds: up to date" in capsys.readouterr().err
    with pytest.raises(RuntimeError):
        stage.run(fail, intact=False)


def test_failed_work_leaves_no_manifest_and_keeps_files(run):
    stage = run.stage("seeds", x=1)
    with pytest.raises(RuntimeError), working(stage):
        (stage.path / "part.txt").write_text("done")
        raise RuntimeError
    assert not stage.is_complete
    stage.run(lambda: {"text": (stage.path / "part.txt").read_text()})
    assert stage.results == {"text": "done"}


def test_other_inputs_discard_old_files_but_not_stages_below(run):
    old, below = run.stage("round-1", x=1), run.stage("round-1/model", x=1)
    with working(old):
        (old.path / "labels").mkdir()
    below.run(dict)
    new = run.stage("round-1", x=2)
    assert not new.is_complete
    with working(new):
        assert not (new.path / "labels").exists()
    assert below.is_complete


def test_checkpoints_are_removed_at_the_end(run):
    stage = run.stage("round-1/model")
    with working(stage):
        (stage.path / "checkpoint").mkdir()
    assert not (stage.path / "checkpoint").exists()


def test_key_depends_on_upstream_stages(run):
    keys = {run.stage("b", labels=run.stage("a", x=x)).key for x in (1, 1, 2)}
    assert len(keys) == 2


@pytest.mark.parametrize("content", ["{", "[1]", "null", "", '{"key": "x"}'])
def test_damaged_manifest_is_not_complete(run, content):
    stage = run.stage("seeds").run(dict)
    (stage.path / "manifest.json").write_text(content)
    assert not stage.is_complete and finished_stage(run.path, "seeds") is None


def test_what_is_loaded_is_kept_until_the_key_changes(run):
    calls = []

    def reader(folder, *, times):
        calls.append(folder)
        return (folder / "value.txt").read_text() * times

    for x in (1, 2):
        stage = run.stage("seeds", x=x)
        with working(stage):
            (stage.path / "value.txt").write_text(f"{x}")
        assert [stage.load(reader, times=2) for _ in range(3)] == [f"{x}{x}"] * 3
    assert calls == [stage.path] * 2


def test_fingerprint_of_a_missing_file(tmp_path):
    assert fingerprint(tmp_path / "none") == ("none", -1, -1)


def test_fingerprint_of_no_file_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    before = fingerprint(Path())
    monkeypatch.chdir(tmp_path)
    assert fingerprint(Path()) == before == ("", -1, -1)


def test_a_stage_is_not_finished_once_what_it_was_made_from_is_made_anew(run):
    labels = run.stage("seeds", x=1).run(dict)
    model = run.stage("round-1/model", labels=labels).run(dict)
    assert finished_stage(run.path, "round-1/model") == model
    run.stage("seeds", x=2).run(
        lambda: {"finished": finished_stage(run.path, "round-1/model") is not None}
    )
    assert finished_stage(run.path, "seeds").results == {"finished": False}
    assert finished_stage(run.path, "round-1/model") is None


def test_files_that_a_kill_cut_off_are_removed(run):
    stage = run.stage("seeds")
    with pytest.raises(RuntimeError), working(stage):
        (stage.path / "labels").mkdir()
        (stage.path / "labels" / f"{PARTIAL}x").touch()
        raise RuntimeError
    with working(stage):
        assert not list(stage.path.rglob(f"{PARTIAL}*"))


def test_stages_before_are_those_it_is_made_from(run):
    first = run.stage("first")
    left, right = run.stage("left", one=first), run.stage("right", one=first)
    last = run.stage("last", left=left, right=right)
    for stage in (first, left, right, last, run.stage("unused", one=first)):
        stage.run(dict)
    assert stages_before(run.path, "last") == ["first", "left", "right"]
    assert stages_before(run.path, "first") == []
    assert stages_before(run.path, "absent") == []
