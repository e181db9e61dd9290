import numpy as np
import pytest
import torch
from helpers.foundation import tiny_dino

from wsseg.errors import InputError
from wsseg.foundation.dino import patch_features
from wsseg.foundation.load import load_model
from wsseg.foundation.pixels import input_pixels, whole_patches
from wsseg.foundation.weights import find_weights

KINDS = {"dinov2": 1, "dinov2_with_registers": 4, "dinov3_vit": 3, "dinov3_convnext": 1}


def load(folder):
    pytest.importorskip("transformers")
    return load_model(find_weights(str(folder), "DINO", "cam.dino.model"), "cpu")


def image_of(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(("kind", "first"), KINDS.items())
def test_features_are_those_of_the_patches_in_reading_order(tmp_path, kind, first):
    pytest.importorskip("transformers")
    loaded, image = load(tiny_dino(tmp_path / kind, kind=kind)), image_of(50, 90)
    features = patch_features(loaded, image, 224)
    patch = 28 if kind.startswith("dinov2") else 32
    rows, columns = features.shape[1:]
    assert (rows, columns) == ((4, 8) if patch == 28 else (4, 7))
    pixels = input_pixels(loaded, image, (rows * patch, columns * patch))
    with torch.no_grad():
        tokens = loaded.model(pixel_values=pixels).last_hidden_state[0]
    assert len(tokens) == first + rows * columns
    for row, column in ((0, 0), (0, 1), (rows - 1, columns - 1)):
        expected = tokens[first + row * columns + column]
        np.testing.assert_array_equal(features[:, row, column], expected)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3), (45, 77)])
def test_any_size_and_aspect_ratio(dino_folder, size):
    features = patch_features(load(dino_folder), image_of(*size))
    assert features.shape[1:] == whole_patches(size, 28)
    assert np.isfinite(features).all()


def test_pixels_are_normalised_as_the_processor_does(dino_folder):
    loaded, image = load(dino_folder), image_of(28, 56)
    own = input_pixels(loaded, image, (28, 56))
    plain = loaded.processor(
        images=image, do_resize=False, do_center_crop=False, return_tensors="pt"
    )
    torch.testing.assert_close(own, plain["pixel_values"])


def test_another_family_is_refused(clip_folder):
    match = r"must be a DINO model \(dinov2, .*\), got a model of type clip"
    with pytest.raises(InputError, match=match):
        find_weights(str(clip_folder), "DINO", "cam.dino.model")
