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
def looked(tmp_path, monkeypatch):
    """What is found of a package "probe" beside others of given versions."""

    def look(python=">=3.11", **installed):
        about = tmp_path / "probe-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(METADATA.format(python=python))
        monkeypatch.syspath_prepend(str(tmp_path))

        def version(name):
            if name in installed or name in packages._TOLD:
                return installed.get(name, "0")
            raise PackageNotFoundError(name)

        monkeypatch.setattr(packages, "version", version)
        return {each.subject: each for each in packages.look("probe")}

    return look


def test_all_there(looked):
    found = looked(alpha="2.0", beta="1.5", gamma="3.0.1", delta="0.1")
    assert {each.state for each in found.values()} == {"ok"}
    assert "there: curves, all; not there: none" in found["extras"].found
    assert "alpha" not in found and "never" not in found


def test_too_old_and_missing_packages_are_problems(looked):
    found = looked(alpha="1.9")
    assert found["alpha"].state == "problem" and found["alpha"].found == "alpha 1.9, not >=2"
    assert found["beta"].state == "problem" and found["beta"].found == "beta is not installed"
    assert "packages" not in found
    assert "pip install" in found["alpha"].remedy


def test_a_release_candidate_is_new_enough(looked):
    assert "alpha" not in looked(alpha="3.0rc1", beta="1")


def test_extras_that_are_not_there_are_no_problem(looked):
    found = looked(alpha="2", beta="1", gamma="2.9")["extras"]
    assert found.state == "ok"
    assert found.found == (
        "there: none; not there: curves (gamma 2.9, not >=3), all (delta is not installed)"
    )


def test_another_python_is_a_problem(looked):
    found = looked(python=">=4")["Python"]
    assert found.state == "problem" and "not >=4" in found.found


def test_used_from_a_folder_versions_are_not_known():
    (found,) = packages.look("no-such-distribution")
    assert found.state == "warning" and "pip install -e ." in found.remedy


def test_two_opencvs_are_told(looked):
    both = {"opencv-python": "4", "opencv-python-headless": "4"}
    found = looked(alpha="2", beta="1", **both)["OpenCV"]
    assert found.state == "warning"
    assert found.remedy.startswith("pip uninstall opencv-python;")
    assert "--force-reinstall --no-deps opencv-python-headless" in found.remedy


def test_this_environment_has_what_wsseg_needs():
    found = {each.subject: each for each in packages.look()}
    assert found["Python"].state == found["packages"].state == "ok"
    assert "torch " in found["packages"].found
    assert "tensorboard" in found["extras"].found


def test_requirements_are_those_of_pyproject():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert all(f'"{name}' in text for name in packages._TOLD)
