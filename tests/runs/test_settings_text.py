import sys

import pytest
import yaml
from helpers.running import ROOT, wsseg

from wsseg.params import group_of
from wsseg.runs.config import Config, load_config
from wsseg.runs.settings_text import _help, settings_page, settings_yaml


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("run_dir: runs/x\ndata: {root: /images}\nrounds: {count: 3}\n")
    return path


def leaves(params, prefix=""):
    for name, field in params.model_fields.items():
        if group := group_of(field):
            yield from leaves(group, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _help(params, name)


def test_every_setting_has_a_help_text():
    assert [name for name, help in leaves(Config) if not help] == []


def test_settings_that_are_not_the_default(file):
    text = settings_yaml(load_config(file))
    assert yaml.safe_load(text) == yaml.safe_load(file.read_text())
    assert "# Number of rounds" in text


def test_all_settings_are_the_settings(file, tmp_path):
    config = load_config(file, ["seed=3"])
    text = settings_yaml(config, every=True)
    assert yaml.safe_load(text) == config.model_dump(mode="json")
    (tmp_path / "all.yaml").write_text(text)
    assert load_config(tmp_path / "all.yaml") == config


def test_what_differs_from_other_settings(file):
    text = settings_yaml(load_config(file, ["seed=3"]), base=load_config(file, ["rounds.count=4"]))
    assert yaml.safe_load(text) == {"seed": 3, "rounds": {"count": 3}}


def test_the_command(file, capsys):
    assert wsseg("config", file, "seed=7") == 0
    assert yaml.safe_load(capsys.readouterr().out)["seed"] == 7
    assert wsseg("config", file, "sede=7") == 2
    assert "did you mean 'seed'?" in capsys.readouterr().err


def test_the_page_of_settings_is_up_to_date():
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == settings_page(), f"call make settings ({sys.executable})"
