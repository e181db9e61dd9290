"""A run on 16-bit images of four bands: what reads one without ``data.bands`` fails."""

import numpy as np
import pytest
import tifffile
from helpers.builders import write, write_settings
from helpers.running import wsseg
from PIL import Image

import wsseg as library
from wsseg.bands import ImageParams
from wsseg.images import read_image
from wsseg.labelmaps import read_label_map
from wsseg.runs.run import Run
from wsseg.stages.finetune.unlabelled import extra_images

READING = ImageParams(range=(0, 3000), bands=(2, 1, 0))
SETTINGS = ("data.bands=[2,1,0]", "data.range=[0,3000]")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """YOLO boxes of bright squares: five training images and one of validation."""
    root, random = tmp_path_factory.mktemp("bands"), np.random.default_rng(0)
    write(root / "data.yaml", "train: images/train\nval: images/val\nnames: [cow]\n")
    for number in range(6):
        name = f"{'train' if number else 'val'}/{number}"
        values = random.integers(0, 900, (48, 64, 4), dtype=np.uint16)
        values[10:34, 16:48] += 2000
        path = write(root / "images" / f"{name}.tif")
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig")
        write(root / "labels" / f"{name}.txt", "0 0.5 0.458 0.5 0.5\n")
    return root


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = write_settings(
        folder / "bands.yaml",
        data={"format": "auto"},
        seeds={"name": "box"},
        rounds={"count": 1},
        trainer={"steps": 2},
    )
    out = folder / "run"
    assert wsseg("run", config, f"run_dir={out}", f"data.root={images}", *SETTINGS) == 0
    return out


def test_a_run_uses_all_images(run):
    opened = Run(run)
    assert len(opened.rounds[-1].labels) == 5
    assert opened.report.is_file()
    assert wsseg("audit", run) == 0


def test_the_network_reads_as_it_was_trained(run, images, tmp_path):
    path = images / "images/val/0.tif"
    for place in (run, Run(run).last_model().path / "model.ckpt"):
        segmenter = library.load_segmenter(place, "cpu")
        assert segmenter.reading == READING
        expected = segmenter(read_image(path, READING))
        assert (segmenter(path).scores == expected.scores).all()
        assert (segmenter(path).image == expected.image).all()
    assert wsseg("predict", run, path, "--out", tmp_path) == 0
    predicted = read_label_map(tmp_path / "labels" / "0.png")
    assert (predicted == library.load_segmenter(run, "cpu")(path).label_map).all()


def test_selections_and_extra_images_read_as_the_run(run, images, tmp_path):
    out = ["--budget", 2, "--out", tmp_path / "out", "--workers", 1]
    assert wsseg("select", images, "--run", run, *out) == 0
    assert len((tmp_path / "out" / "selected.txt").read_text().split()) == 2
    extra = extra_images(images / "images", Run(run).config.data)
    assert {sample.reading for sample in extra} == {READING}


def test_data_sets_in_python_take_bands(images):
    dataset = library.load_dataset(images, bands=[2, 1, 0], range=(0, 3000))
    expected = read_image(dataset[0].image, READING)
    assert (dataset[0].example().image == expected).all()
    assert wsseg("check", images) == 1
    assert wsseg("check", images, "--bands", "2,1,0") == 0


def test_images_that_predict_cannot_read_are_named(run, tmp_path, capsys):
    for name in ("IMG_1.HEIC", "b.MOV", "c.mov"):
        (tmp_path / name).touch()
    assert wsseg("predict", run, tmp_path, "--out", tmp_path / "out") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "IMG_1.HEIC is HEIC, which is not read; convert it to JPEG" in error
    assert "2 files (b.MOV, c.mov) are video, which is not read; save their frames" in error


def test_ordinary_networks_read_new_kinds(finished, tmp_path, capsys):
    (tmp_path / "IMG_1.HEIC").touch()
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jfif", "jpeg")
    Image.new("P", (40, 30)).save(tmp_path / "b.gif")
    assert wsseg("predict", finished, tmp_path, "--out", tmp_path / "out") == 0
    assert {p.name for p in (tmp_path / "out/labels").iterdir()} == {"a.png", "b.png"}
    assert "IMG_1.HEIC is HEIC, which is not read" in " ".join(capsys.readouterr().err.split())
