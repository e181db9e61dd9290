import json

import numpy as np
import pytest
from helpers.running import working

from wsseg.errors import InputError
from wsseg.files import PARTIAL
from wsseg.labelmaps import write_label_map
from wsseg.runs.config import Config
from wsseg.runs.run import LAYOUT, Run, check_run_folder, open_run


def config_of(folder, rounds=2):
    return Config.model_validate(
        {"run_dir": folder, "data": {"root": folder.parent}, "rounds": {"count": rounds}}
    )


@pytest.fixture
def config(tmp_path):
    return config_of(tmp_path / "run")


@pytest.fixture
def old_run(tmp_path):
    """The files of a run of the first edition, whose settings had other names."""
    folder = tmp_path / "old"
    (folder / "seeds").mkdir(parents=True)
    (folder / "config.yaml").write_text("pipeline: boxes\nworkers: 1\ntrainer: {num_nodes: 1}\n")
    (folder / "environment.json").write_text(json.dumps({"wsseg": "0.1.0", "seed": 0}))
    (folder / "seeds" / "manifest.json").write_text(json.dumps({"stage": "seeds", "key": "x"}))
    return folder


def test_stages_come_in_the_order_they_are_made_in(tmp_path):
    expected = ["seeds", "round-1", "round-2", "masks-only", "filtered", "finetuned"]
    assert Run(tmp_path, config_of(tmp_path, 2)).label_stages() == expected
    assert Run(tmp_path, config_of(tmp_path, 0)).label_stages()[:2] == ["seeds", "round-1"]


def test_last_model_is_that_of_the_last_stage(config):
    run = Run(config.run_dir, config)
    with pytest.raises(InputError, match="has no trained network"):
        run.last_model()
    for name in ("round-1/model", "round-2/model", "masks-only/model", "finetuned/model"):
        run.stage(name).run(dict)
        assert run.last_model().name == name


def test_a_run_on_disk_has_its_settings_rounds_and_figures(config):
    with open_run(config) as made:
        for number in (1, 2):
            with working(made.stage(f"round-{number}", number=number)):
                path = made.path / f"round-{number}" / "labels" / "herd" / "cow.png"
                write_label_map(path, np.full((2, 3), number, np.uint8))
    run = Run(str(config.run_dir))
    assert run.config == config
    assert [stage.name for stage in run.rounds] == ["round-1", "round-2"]
    labels = run.rounds[-1].labels
    assert [*labels] == ["herd/cow"] and len(labels) == 1 and "sheep" not in labels
    np.testing.assert_array_equal(labels["herd/cow"], np.full((2, 3), 2, np.uint8))
    assert run.report == config.run_dir / "report" / "index.html" and run.summary == {}


def test_open_run_records_settings_and_environment(config):
    with open_run(config) as run:
        environment = json.loads((run.path / "environment.json").read_text())
        assert (environment["layout"], environment["seed"]) == (LAYOUT, config.seed)
        assert (run.path / "config.yaml").exists()


def test_second_run_on_one_folder_is_refused(config):
    in_use = pytest.raises(InputError, match="in use by another process")
    with open_run(config), in_use, open_run(config):
        pass


def test_run_refuses_a_folder_with_other_files(config):
    config.run_dir.mkdir()
    (config.run_dir / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="choose another"), open_run(config):
        pass
    assert (config.run_dir / "thesis.txt").exists()


def test_a_run_folder_that_is_a_file_is_refused(config):
    config.run_dir.write_text("notes")
    with pytest.raises(InputError, match="a folder, got a file"), open_run(config):
        pass


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not the folder of a run"):
        Run(tmp_path)


def test_a_run_whose_settings_were_cut_off_is_refused(config):
    with open_run(config) as run:
        text = (run.path / "config.yaml").read_text()
        (run.path / "config.yaml").write_text(text[: text.index("\nrounds:")])
        with pytest.raises(InputError, match="is damaged: it has no finetune, rounds"):
            Run(run.path)


def test_a_run_of_another_layout_is_refused_and_left_as_it_is(old_run):
    before = {path: path.read_bytes() for path in old_run.rglob("*.*")}
    refused = r"was made by wsseg 0\.1\.0, whose files have another layout"
    with pytest.raises(InputError, match=refused):
        Run(old_run)
    with pytest.raises(InputError, match=refused):
        check_run_folder(old_run)
    with pytest.raises(InputError, match=refused), open_run(config_of(old_run)):
        pass
    assert {path: path.read_bytes() for path in old_run.rglob("*.*")} == before


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
