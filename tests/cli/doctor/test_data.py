import shutil

import pytest

from wsseg.cli.doctor import data
from wsseg.errors import InputError


def looked(config):
    try:
        dataset = data.index(config.data)
    except InputError as error:
        dataset = error
    return list(data.look(config, dataset))


def test_images_of_each_split(configured, scenes):
    (found,) = looked(configured())
    assert found.state == "ok"
    assert found.found == f"{scenes}: voc; images: 6 train, 3 val; 5 classes"


def test_the_format_is_found_out(configured):
    (found,) = looked(configured("data.format=auto"))
    assert ": voc; images: 6 train" in found.found


def test_demo_scenes_are_not_generated(configured, tmp_path):
    (found,) = looked(configured(f"data.root={tmp_path}/scenes", "data.format=scenes"))
    assert "generated when the run starts; images: 120 train, 40 val" in found.found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.root=/no/such/folder", "data.root /no/such/folder must be a folder"),
        ("data.train=practice", "practice"),
        ("data.format=coco", "instances_train.json"),
        ("data.annotations=[/no/such/points.json]", "/no/such/points.json"),
    ],
)
def test_what_a_run_would_stop_at_is_a_problem(configured, override, told):
    (found,) = looked(configured(override))
    assert found.state == "problem" and told in found.found
    assert found.remedy


@pytest.mark.parametrize(("strict", "state"), [("false", "warning"), ("true", "problem")])
def test_an_image_that_is_not_there_is_told(configured, scenes, tmp_path, strict, state):
    copy = shutil.copytree(scenes, tmp_path / "fewer")
    (copy / "JPEGImages" / "train-0000.png").unlink()
    counted, fewer = looked(configured(f"data.root={copy}", f"strict={strict}"))
    assert "images: 5 train" in counted.found
    assert fewer.state == state
    assert "train-0000" in fewer.found and fewer.remedy.startswith(f"wsseg check {copy}")
