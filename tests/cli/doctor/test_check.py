import json
import os
import subprocess
import sys

import pytest
from helpers.running import ROOT, wsseg


def checked(capsys):
    return {check["subject"]: check for check in json.loads(capsys.readouterr().out)}


def test_the_machine_alone(capsys):
    assert wsseg("doctor") == 0
    output = capsys.readouterr().out
    assert "Python" in output and "numba" in output
    assert "run_dir" not in output


def test_a_configuration_as_json(capsys, config_file, scenes, tmp_path):
    arguments = [config_file, f"run_dir={tmp_path}/run", f"data.root={scenes}"]
    assert wsseg("doctor", *arguments, "--json") == 0
    checks = checked(capsys)
    for subject in ("CPU", "data", "settings", "trainer", "model.weights", "run_dir", "disk"):
        assert checks[subject]["state"] == "ok", checks[subject]
    assert checks["disk"]["remedy"] == ""


def test_a_problem_has_a_remedy_and_exit_code_1(capsys, config_file, scenes, tmp_path):
    arguments = [config_file, f"run_dir={tmp_path}/run", f"data.root={scenes}"]
    assert wsseg("doctor", *arguments, "seeds.name=boxx") == 1
    output = capsys.readouterr().out
    assert "problem" in output and "choose one of" in output
    assert "disk" in output  # the checks after it still run


def test_a_configuration_that_cannot_be_read_is_a_problem(capsys, tmp_path):
    assert wsseg("doctor", tmp_path / "none.yaml", "--json") == 1
    assert checked(capsys)["config"]["remedy"] == "check the path"


def test_missing_data_stops_no_other_check(capsys, config_file, tmp_path):
    assert wsseg("doctor", config_file, f"run_dir={tmp_path}/run", "--json") == 1
    checks = checked(capsys)
    assert checks["data"]["state"] == "problem"
    assert checks["trainer"]["state"] == checks["run_dir"]["state"] == "ok"


@pytest.mark.parametrize(
    ("package", "subject", "state"),
    [
        ("torch", "devices", "problem"),
        ("numba", "numba", "problem"),
        ("cv2", "settings and data", "problem"),
    ],
)
def test_a_broken_package_is_reported(config_file, scenes, tmp_path, package, subject, state):
    broken = tmp_path / "broken" / package
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libGL.so.1 is missing')")
    command = "from wsseg.cli import main; main()"
    arguments = ["doctor", config_file, f"run_dir={tmp_path}/run", f"data.root={scenes}", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{broken.parent}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    checks = {check["subject"]: check for check in json.loads(done.stdout)}
    assert checks[subject]["state"] == state
    assert "libGL.so.1" in checks[subject]["message"] and "pip install" in checks[subject]["remedy"]
    assert checks["disk"]["state"] == "ok"
