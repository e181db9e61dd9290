from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from wsseg.cli.doctor import packages

METADATA = """Metadata-Version: 2.4
Name: probe
Version: 1
Requires-Python: {python}
Requires-Dist: alpha>=2
Requires-Dist: beta>=1; python_version >= '3'
Requires-Dist: never>=1; python_version < '3'
Provides-Extra: curves
Requires-Dist: gamma>=3; extra == 'curves'
Provides-Extra: all
Requires-Dist: probe[curves]; extra == 'all'
Requires-Dist: delta; extra == 'all'
"""


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Checks of a package "probe", with other packages of given versions."""

    def check(python=">=3.11", **installed):
        about = tmp_path / "probe-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(METADATA.format(python=python))
        monkeypatch.syspath_prepend(str(tmp_path))

        def version(name):
            if name in installed or name in packages._SHOWN:
                return installed.get(name, "0")
            raise PackageNotFoundError(name)

        monkeypatch.setattr(packages, "version", version)
        return {check.subject: check for check in packages.check_packages("probe")}

    return check


def test_all_there(checked):
    checks = checked(alpha="2.0", beta="1.5", gamma="3.0.1", delta="0.1")
    assert {check.state for check in checks.values()} == {"ok"}
    assert "installed: curves, all; missing: none" in checks["extras"].message
    assert "alpha" not in checks and "never" not in checks


def test_too_old_and_missing_packages_are_problems(checked):
    checks = checked(alpha="1.9")
    assert checks["alpha"].state == "problem" and checks["alpha"].message == "alpha 1.9, not >=2"
    assert checks["beta"].state == "problem" and checks["beta"].message == "beta is not installed"
    assert "packages" not in checks
    assert "pip install" in checks["alpha"].remedy


def test_a_release_candidate_is_new_enough(checked):
    assert "alpha" not in checked(alpha="3.0rc1", beta="1")


def test_extras_that_are_not_there_are_no_problem(checked):
    checks = checked(alpha="2", beta="1", gamma="2.9")["extras"]
    assert checks.state == "ok"
    assert checks.message == (
        "installed: none; missing: curves (gamma 2.9, not >=3), all (delta is not installed)"
    )


def test_another_python_is_a_problem(checked):
    checks = checked(python=">=4")["Python"]
    assert checks.state == "problem" and "not >=4" in checks.message


def test_used_from_a_folder_versions_are_not_known():
    (check,) = packages.check_packages("no-such-distribution")
    assert check.state == "warning" and "pip install -e ." in check.remedy


def test_two_opencvs_are_reported(checked):
    both = {"opencv-python": "4", "opencv-python-headless": "4"}
    checks = checked(alpha="2", beta="1", **both)["OpenCV"]
    assert checks.state == "warning"
    assert checks.remedy.startswith("pip uninstall opencv-python;")
    assert "--force-reinstall --no-deps opencv-python-headless" in checks.remedy


def test_this_environment_has_what_wsseg_needs():
    checks = {each.subject: each for each in packages.check_packages()}
    assert checks["Python"].state == checks["packages"].state == "ok"
    assert "torch " in checks["packages"].message
    assert "tensorboard" in checks["extras"].message


def test_requirements_are_those_of_pyproject():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert all(f'"{name}' in text for name in packages._SHOWN)
