import numpy as np
import pytest
import torch
from helpers.bright import bright_segmenter

from wsseg.bands import ImageParams
from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.checkpoints import read_checkpoint, save_network, write_checkpoint
from wsseg.networks.params import PredictionParams
from wsseg.networks.prediction import load_segmenter
from wsseg.networks.segmenter import build_network

CLASSES = Classes(("background", "thing"))


@pytest.fixture
def segmenter():
    return bright_segmenter(CLASSES)


def half_bright(height, width):
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    return image


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 65), (150, 301)])
def test_any_size(segmenter, size):
    scores = segmenter.predict(half_bright(*size), PredictionParams())
    assert scores.shape == (2, *size) and scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=0), 1, atol=1e-5)


def test_tiles_give_what_one_pass_gives(segmenter, monkeypatch):
    image = half_bright(150, 301)
    whole = segmenter.predict(image, PredictionParams(scales=(1.0,)))
    monkeypatch.setattr("wsseg.networks.prediction._TILE", 64)
    tiled = segmenter.predict(image, PredictionParams(scales=(1.0,)))
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    assert (whole.argmax(axis=0) == (image[..., 0] > 0)).all()


def test_flipped_images_give_flipped_scores(segmenter):
    image = half_bright(40, 60)
    settings = PredictionParams(scales=(0.5, 1.0))
    flipped = segmenter.predict(image[:, ::-1], settings)
    np.testing.assert_allclose(flipped[..., ::-1], segmenter.predict(image, settings), atol=1e-5)


def test_file_round_trip(model_settings, tmp_path):
    network = build_network(model_settings, 2).eval()
    save_network(tmp_path / "model.ckpt", "segmenter", network, model_settings, CLASSES)
    loaded = load_segmenter(tmp_path / "model.ckpt")
    assert loaded.classes == CLASSES and not loaded.network.training
    torch.testing.assert_close(
        {k: v.cpu() for k, v in loaded.network.state_dict().items()}, network.state_dict()
    )


def test_files_say_how_images_are_read(model_settings, tmp_path):
    path, reading = tmp_path / "model.ckpt", ImageParams(range=(0, 3000), bands=(3, 1, 0))
    network = build_network(model_settings, 2)
    save_network(path, "segmenter", network, model_settings, CLASSES, reading=reading)
    assert load_segmenter(path).reading == reading
    content = read_checkpoint(path)
    del content["reading"]  # as in files of earlier versions
    write_checkpoint(path, content)
    assert load_segmenter(path).reading == ImageParams()


@pytest.mark.parametrize("content", [None, b"", b"rubbish"])
def test_bad_file(tmp_path, content):
    path = tmp_path / "model.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.ckpt (does not exist|is damaged)"):
        load_segmenter(path)


def test_other_checkpoint_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match="holds no segmenter"):
        load_segmenter(tmp_path / "other.ckpt")
