import shutil
from typing import NamedTuple

import pytest
from helpers.running import wsseg

from wsseg.cli.doctor import space
from wsseg.cli.doctor.data import index
from wsseg.errors import InputError


class Usage(NamedTuple):
    free: int


def looked(config):
    (found,) = space.look(config, index(config.data))
    return found


def test_room_enough(configured, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10))
    found = looked(configured())
    assert found.state == "ok"
    assert found.found.startswith("10.0 GB free; this run takes about ")
    assert "networks" in found.found and "activation maps" not in found.found


def test_too_little_room_is_a_problem(configured, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**6))
    found = looked(configured())
    assert found.state == "problem"
    assert found.found.startswith("1.0 MB free") and "free some space" in found.remedy


def test_the_disk_is_that_of_the_run(configured, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Usage(10**10))
    looked(configured(f"run_dir={tmp_path}/deep/run"))
    assert asked == [tmp_path]


def test_a_pipeline_of_ones_own_is_not_estimated(configured):
    (found,) = space.look(configured("pipeline=mine.py"), None)
    assert found.state == "ok" and "of your own" in found.found


def test_without_data_nothing_is_estimated(configured):
    (found,) = space.look(configured(), InputError("data.root", "a folder", "none", "make it"))
    assert found.state == "ok" and "not known without data" in found.found


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_340_000, "2.3 MB"), (5e13, "50.0 TB")],
)
def test_bytes_for_a_person(size, text):
    assert space.told(size) == text


def test_a_new_run_says_that_it_will_not_fit_and_goes_on(
    config_file, scenes, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**6))
    arguments = [config_file, f"run_dir={tmp_path}/run", f"data.root={scenes}", "rounds.count=0"]
    for told in (1, 0):  # what goes on has part of it already
        assert wsseg("run", *arguments) == 0
        said = capsys.readouterr().err
        assert said.count("warning: disk: 1.0 MB free; this run takes about") == told
    assert (tmp_path / "run" / "report" / "index.html").exists()


def test_a_run_with_room_says_nothing_of_it(config_file, scenes, tmp_path, capsys):
    arguments = [config_file, f"run_dir={tmp_path}/run", f"data.root={scenes}", "rounds.count=0"]
    assert wsseg("run", *arguments) == 0
    assert "disk" not in capsys.readouterr().err
