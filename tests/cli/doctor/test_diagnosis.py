import json
import sys
from importlib import import_module as imported

import pytest
from helpers.running import wsseg

from wsseg.cli.doctor import diagnosis


def test_the_machine_alone(capsys):
    assert wsseg("doctor") == 0
    shown = capsys.readouterr().out
    assert "Python" in shown and "numba" in shown
    assert "run_dir" not in shown


def test_a_configuration_for_a_program(capsys, config_file, scenes, tmp_path):
    arguments = [config_file, f"run_dir={tmp_path}/run", f"data.root={scenes}"]
    assert wsseg("doctor", *arguments, "--json") == 0
    found = {each["subject"]: each for each in json.loads(capsys.readouterr().out)}
    for subject in ("CPU", "data", "trainer", "model.weights", "run_dir", "disk"):
        assert found[subject]["state"] == "ok", found[subject]
    assert found["disk"]["remedy"] == ""


def test_a_problem_has_a_remedy_and_exit_code_1(capsys, config_file, scenes, tmp_path):
    arguments = [config_file, f"run_dir={tmp_path}/run", f"data.root={scenes}"]
    assert wsseg("doctor", *arguments, "seeds.name=boxx") == 1
    shown = capsys.readouterr().out
    assert "problem" in shown and "choose one of" in shown
    assert "disk" in shown  # what comes after it is looked at all the same


def test_a_configuration_that_cannot_be_read_is_a_problem(capsys, tmp_path):
    assert wsseg("doctor", tmp_path / "none.yaml", "--json") == 1
    last = json.loads(capsys.readouterr().out)[-1]
    assert last["subject"] == "config" and last["remedy"] == "check the path"


def test_data_that_is_not_there_stops_nothing(capsys, config_file, tmp_path):
    assert wsseg("doctor", config_file, f"run_dir={tmp_path}/run", "--json") == 1
    found = {each["subject"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["data"]["state"] == "problem"
    assert found["run_dir"]["state"] == "ok"
    assert "not known without data" in found["disk"]["found"]


def test_a_package_that_cannot_be_imported_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "wsseg.cli.doctor.devices", None)  # None: importing it fails
    found = {each.subject: each for each in diagnosis.diagnose()}
    assert found["devices"].state == "problem" and "pip install" in found["devices"].remedy
    assert found["numba"].state == "ok"


def test_data_that_cannot_be_opened_is_a_problem(monkeypatch, config_file, scenes, tmp_path):
    def refused(_):
        raise PermissionError(13, "Permission denied", str(scenes))

    monkeypatch.setattr(imported("wsseg.cli.doctor.data"), "index", refused)
    overrides = [f"run_dir={tmp_path}/run", f"data.root={scenes}"]
    found = {each.subject: each for each in diagnosis.diagnose(config_file, overrides)}
    assert found["data"].state == "problem" and "Permission denied" in found["data"].found


@pytest.mark.parametrize("name", ["packages", "devices", "compiler"])
def test_nothing_found_twice(name):
    subjects = [each.subject for each in diagnosis._looked(name)]
    assert len(subjects) == len(set(subjects)) > 0
