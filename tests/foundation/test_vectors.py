import numpy as np
import pytest
import torch
from helpers.sam import write_tiny_sam

from wsseg.errors import InputError
from wsseg.foundation.dino import patch_features
from wsseg.foundation.load import load_model
from wsseg.foundation.pixels import input_pixels
from wsseg.foundation.sam import Sam
from wsseg.foundation.vectors import image_vector
from wsseg.foundation.weights import find_weights
from wsseg.seeds.text_masks import text_probabilities

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)


def load(folder, family):
    return load_model(find_weights(str(folder), family, "--model"), "cpu")


def test_clip_gives_its_image_feature(clip_folder):
    loaded = load(clip_folder, "CLIP, DINO or SAM")
    pixels = input_pixels(loaded, IMAGE, (96, 128))
    with torch.no_grad():
        plain = loaded.model.get_image_features(pixels, interpolate_pos_encoding=True)
    np.testing.assert_array_equal(image_vector(loaded, IMAGE), plain.pooler_output[0])


def test_dino_gives_its_class_token(dino_folder):
    loaded = load(dino_folder, "CLIP, DINO or SAM")
    pixels = input_pixels(loaded, IMAGE, (140, 224))
    with torch.no_grad():
        tokens = loaded.model(pixel_values=pixels).last_hidden_state
    np.testing.assert_array_equal(image_vector(loaded, IMAGE), tokens[0, 0])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_sam_gives_the_mean_of_its_embedding(tmp_path, version):
    loaded = load(write_tiny_sam(tmp_path / "sam", version), "CLIP, DINO or SAM")
    (embedding,) = Sam(loaded).encode([IMAGE])
    found = image_vector(loaded, IMAGE)
    np.testing.assert_allclose(found, embedding.features.mean(axis=(1, 2)))
    assert found.ndim == 1 and not np.allclose(found, image_vector(loaded, IMAGE[::-1]))


@pytest.mark.parametrize("kind", ["clip", "dino", "sam3"])
def test_too_little_memory_of_a_gpu_is_a_clear_error(request, monkeypatch, kind):
    families = {"clip": "CLIP", "dino": "DINO", "sam3": "SAM 3 with text"}
    loaded = load(request.getfixturevalue(f"{kind}_folder"), families[kind])

    def full(*_, **__):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    parts = {"clip": "get_image_features", "dino": "forward", "sam3": "get_vision_features"}
    monkeypatch.setattr(loaded.model, parts[kind], full)
    calls = {
        "clip": lambda: image_vector(loaded, IMAGE),
        "dino": lambda: patch_features(loaded, IMAGE),
        "sam3": lambda: text_probabilities(loaded, IMAGE, ["cat"]),
    }
    with pytest.raises(InputError, match=r"memory of the GPU does not suffice for .*device=cpu"):
        calls[kind]()
