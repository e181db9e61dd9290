"""What prediction of files writes, under which names, and what it says of the rest."""

import json
import shutil
from xml.etree.ElementTree import parse

import numpy as np
import pytest
from helpers.builders import write
from helpers.running import wsseg
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from wsseg.labelmaps import read_label_map
from wsseg.stages.georeference import copy_georeference

NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.fixture
def images(tmp_path):
    """Two images of one stem, one in a folder, and two files that are no images."""
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "a.png", "inner/b.png")):
        Image.fromarray(np.roll(NOISE, number, axis=0)).save(folder / name)
    write(folder / "IMG_1.HEIC")
    write(folder / "notes.txt")
    return folder


@pytest.fixture
def predicted(finished, tmp_path, capsys):
    """Predict into a new folder, and return it with what was said."""

    def call(*arguments, code=0):
        out = tmp_path / "out"
        assert wsseg("predict", finished, *arguments, "--out", out) == code
        return out, capsys.readouterr().err

    return call


def below(folder, pattern):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(pattern))


def test_images_of_one_stem_get_names_of_their_own(predicted, images):
    out, said = predicted(images)
    assert below(out / "labels", "*.png") == ["a_jpg.png", "a_png.png", "inner/b.png"]
    assert below(out / "overlays", "*.jpg") == ["a_jpg.jpg", "a_png.jpg", "inner/b.jpg"]
    assert "a.jpg has a name like another image: its results are a_jpg" in said
    assert "3 images are in " in said and "were skipped" not in said
    assert "skipped: " in said and "IMG_1.HEIC" in said and "notes.txt" not in said


def test_images_of_two_folders_and_a_name_that_is_taken(predicted, images, tmp_path):
    other = tmp_path / "more"
    (other / "inner").mkdir(parents=True)
    shutil.copy(images / "a.jpg", other / "a.jpg")
    Image.fromarray(NOISE).save(other / "a_jpg.png")
    out, _ = predicted(images, other)
    labels = ["a_jpg.png", "a_png.png", "inner/b.png", "more/a_jpg.png", "photos/a_jpg.png"]
    assert below(out / "labels", "*.png") == labels


def test_what_is_skipped_is_named_and_counted(predicted, images):
    write(images / "bad.jpg", "no image")
    _, said = predicted(images)
    assert "3 images are in " in said and ", 1 were skipped" in said
    assert f"skipped {images / 'bad.jpg'}: " in said


def test_coco_labels_new_images_under_the_names_of_their_files(predicted, images):
    out, _ = predicted(images, "--to", "coco")
    content = json.loads((out / "coco" / "annotations" / "instances_predicted.json").read_text())
    names = [entry["file_name"] for entry in content["images"]]
    assert sorted(names) == ["a.jpg", "a.png", "inner/b.png"]
    assert {category["id"] for category in content["categories"]} == {1, 2, 3, 4, 5}
    places = {entry["id"]: entry["file_name"] for entry in content["images"]}
    covered = dict.fromkeys(places.values(), 0)
    for annotation in content["annotations"]:
        covered[places[annotation["image_id"]]] += annotation["area"]
    for file, area in covered.items():
        name = {"a.jpg": "a_jpg", "a.png": "a_png"}.get(file, "inner/b")
        assert (read_label_map(out / "labels" / f"{name}.png") > 0).sum() == area
    assert sum(covered.values()) > 0


def test_cvat_labels_new_images(predicted, images):
    out, _ = predicted(images / "a.png", "--to", "cvat")
    (image,) = parse(out / "cvat" / "annotations.xml").iter("image")
    assert (image.get("name"), image.get("width"), image.get("height")) == ("a.png", "50", "40")
    labels = {mask.get("label") for mask in image.iter("mask")}
    assert len(labels) == len(np.unique(read_label_map(out / "labels" / "a.png")))


def test_an_unknown_format_and_no_readable_image_are_refused(predicted, images, tmp_path):
    out, said = predicted(images, "--to", "shapefile", code=2)
    assert "--to must be one of voc, coco, cvat, fiftyone" in said and not out.exists()
    bad = write(tmp_path / "bad" / "x.jpg", "no image")
    out, said = predicted(bad.parent, "--to", "coco", code=2)
    assert "IMAGES must be at least one readable image, got none (skipped " in said
    assert not (out / "coco" / "annotations" / "instances_predicted.json").exists()


def geotiff(path, **tags):
    directory = ImageFileDirectory_v2()
    kinds = {"scale": 33550, "tiepoint": 33922, "matrix": 34264, "keys": 34735}
    for name, values in tags.items():
        directory.tagtype[kinds[name]] = 3 if name == "keys" else 12
        directory[kinds[name]] = values
    Image.fromarray(NOISE).save(path, tiffinfo=directory)
    return path


UTM = (1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1, 32633)
POINT = (1, 1, 0, 1, 1025, 0, 1, 2)
MATRIX = (2.0, 0.5, 0.0, 100.0, 0.5, -2.0, 0.0, 900.0, *[0.0] * 7, 1.0)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (
            {"scale": (2.0, 3.0, 0.0), "tiepoint": (0, 0, 0, 100.0, 900.0, 0), "keys": UTM},
            [2, 0, 0, -3, 101, 898.5],
        ),
        (
            {"scale": (2.0, 3.0, 0.0), "tiepoint": (10, 20, 0, 100.0, 900.0, 0), "keys": POINT},
            [2, 0, 0, -3, 80, 960],
        ),
        ({"matrix": MATRIX}, [2, 0.5, 0.5, -2, 101.25, 899.25]),
        ({"tiepoint": (0, 0, 0, 1.0, 2.0, 0) * 2, "scale": (1.0, 1.0, 0.0)}, None),
        ({}, None),
    ],
)
def test_tags_of_geotiff_become_a_world_file(tmp_path, tags, expected):
    image, target = geotiff(tmp_path / "a.tif", **tags), tmp_path / "out.png"
    assert copy_georeference(image, target) == (expected is not None)
    world = tmp_path / "out.pgw"
    assert world.exists() == (expected is not None)
    if expected:
        assert [float(line) for line in world.read_text().split()] == expected
    auxiliary = tmp_path / "out.png.aux.xml"
    assert auxiliary.exists() == (tags.get("keys") == UTM)
    if auxiliary.exists():
        assert parse(auxiliary).findtext("SRS") == "EPSG:32633"


def test_predict_copies_world_file_and_projection(predicted, images):
    write(images / "a.jgw", "1\n0\n0\n-1\n5\n6\n")
    write(images / "a.prj", "PROJCS[]")
    (images / "a.png").unlink()
    out, _ = predicted(images)
    assert (out / "labels" / "a.pgw").read_text() == "1\n0\n0\n-1\n5\n6\n"
    assert (out / "labels" / "a.prj").read_text() == "PROJCS[]"
    assert not (out / "labels" / "inner" / "b.pgw").exists()


def test_a_turned_image_has_no_world_file(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE).save(tmp_path / "a.jpg", exif=exif)
    write(tmp_path / "a.jgw", "1\n0\n0\n-1\n5\n6\n")
    assert not copy_georeference(tmp_path / "a.jpg", tmp_path / "out.png")
