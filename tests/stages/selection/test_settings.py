from pathlib import Path

import pytest

from wsseg.errors import InputError
from wsseg.stages.selection.settings import SelectionSettings, read_known_ids, read_scales


def settings(budget=3, **changes):
    return SelectionSettings(Path("data"), Path("out"), budget, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "--budget must be at least 1, got 0"),
        ({"quota": -1}, "--quota must be at least 0, got -1"),
        ({"seed": -1}, "--seed must be at least 0, got -1"),
        ({"method": "best"}, "--method must be one of k_centre, medoids, random, got 'best'"),
        ({"uncertainty": "doubt"}, "--uncertainty must be one of margin, vote_entropy"),
        ({"uncertainty": "margin"}, "--uncertainty must be given with a --run"),
        (
            {"uncertainty": "margin", "run": Path("run"), "method": "random"},
            "--uncertainty must be given with k_centre, got random",
        ),
        ({"scales": (1.0,)}, "--scales must be given with --uncertainty"),
        (
            {"uncertainty": "margin", "run": Path("run"), "method": "k_centre", "scales": (0.0,)},
            "--scales must be numbers above 0",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        settings(**changes)


def test_a_config_needs_no_more_than_its_encoder(tmp_path):
    (tmp_path / "a.yaml").write_text("classifier: {encoder: resnet10t, weights: null}\n")
    assert settings(config=tmp_path / "a.yaml").source().settings.encoder == "resnet10t"
    (tmp_path / "a.yaml").write_text("classifier: {encoder: resnet10t, weight: null}\n")
    with pytest.raises(InputError, match="did you mean 'weights'"):
        settings(config=tmp_path / "a.yaml").source()


def test_scales_are_those_of_the_run_or_the_given_ones(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "run_dir: x\ndata: {root: y}\nprediction: {scales: [0.5], flip: false}\n"
    )
    asked = {"run": tmp_path, "uncertainty": "margin", "method": "k_centre"}
    assert settings(**asked).prediction(tmp_path).scales == (0.5,)
    found = settings(**asked, scales=(1.0, 2.0)).prediction(tmp_path)
    assert found.scales == (1.0, 2.0) and not found.flip


def test_scales_are_numbers():
    with pytest.raises(InputError, match="--scales must be numbers above 0 with commas between"):
        read_scales("0.5;1")


@pytest.mark.parametrize("text", ["b\na x\n", "﻿b\r\n\r\na x", "b\na x\nb\n\n"])
def test_ids_a_line(tmp_path, text):
    (tmp_path / "ids.txt").write_bytes(text.encode())
    assert read_known_ids(tmp_path / "ids.txt", ["a x", "b", "c"]) == ("b", "a x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\xff\xfe", "UTF-8 text"),
        (b"cov", "ids of images of the split, got 'cov'; did you mean 'cow'?"),
    ],
)
def test_lists_that_say_nothing(tmp_path, content, message):
    if content is not None:
        (tmp_path / "ids.txt").write_bytes(content)
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        read_known_ids(tmp_path / "ids.txt", ["cow", "sheep"])
