from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.foundation.clip import (
    attention_affinity,
    gradient_maps,
    phrases_of,
    sinkhorn,
    spread_from_boxes,
    strong_boxes,
    text_features,
    text_maps,
)
from wsseg.foundation.load import load_model
from wsseg.foundation.weights import find_weights

PHRASES = (("a cat",), ("a dog",), ("the sky",), ("a road",))


@pytest.fixture(scope="module")
def loaded(clip_folder):
    weights = find_weights(str(clip_folder), "CLIP", "cam.clip.model")
    return load_model(weights, "cpu", "eager")


@pytest.fixture(scope="module")
def texts(loaded):
    return text_features(loaded, PHRASES)


def image_of(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3)).astype(np.uint8)


def slow_reference(model, pixels, texts, label):
    """Gradients through the whole model, from the forward pass of the library and a hook."""
    kept = []
    norm = model.vision_model.encoder.layers[-1].layer_norm1
    handle = norm.register_forward_hook(lambda *parts: kept.append(parts[2]))
    pixels = pixels.clone().requires_grad_()
    output = model.vision_model(
        pixel_values=pixels, interpolate_pos_encoding=True, output_attentions=True
    )
    handle.remove()
    tokens = model.vision_model.post_layernorm(output.last_hidden_state)
    feature = model.visual_projection(tokens[:, 1:].mean(dim=1))[0]
    logits = model.logit_scale.exp() * texts @ (feature / feature.norm())
    probability = logits.exp()[label] / logits.exp().sum()
    (gradients,) = torch.autograd.grad(probability, kept[0])
    weights = gradients[0, 1:].mean(dim=0)
    values = [float(max(0, cell @ weights)) for cell in kept[0][0, 1:].detach()]
    attention = torch.stack(output.attentions)[:, 0].mean(dim=(0, 1))[1:, 1:]
    return np.array(values), attention.detach()


@pytest.mark.parametrize("size", [(64, 96), (128, 128)])
def test_maps_are_those_of_a_slow_reference(loaded, texts, size):
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    maps, attention = gradient_maps(loaded.model, pixels, texts, 2)
    for image in range(2):
        for label in range(2):
            values, weights = slow_reference(loaded.model, pixels[image : image + 1], texts, label)
            assert values.max() > 0
            np.testing.assert_allclose(maps[image, label], values, rtol=1e-3, atol=1e-6)
            torch.testing.assert_close(attention[image], weights)


def test_the_score_of_a_text_is_against_the_others(loaded, texts):
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    alone, _ = gradient_maps(loaded.model, pixels, texts[[0, 3]], 1)
    beside, _ = gradient_maps(loaded.model, pixels, texts, 1)
    assert not torch.allclose(alone, beside)
    only, _ = gradient_maps(loaded.model, pixels, texts[:1], 1)
    assert (only == 0).all()  # a probability that is always 1


def test_the_model_is_left_as_it_was(loaded, texts):
    hooks = [dict(module._forward_hooks) for module in loaded.model.modules()]
    text_maps(loaded, image_of(20, 30), texts, 1)
    assert not loaded.model.training
    assert not any(p.requires_grad or p.grad is not None for p in loaded.model.parameters())
    assert [dict(module._forward_hooks) for module in loaded.model.modules()] == hooks


def test_sinkhorn_makes_a_matrix_doubly_stochastic():
    matrix = torch.rand(2, 7, 7, generator=torch.Generator().manual_seed(0)) + 0.01
    few, many = sinkhorn(matrix), sinkhorn(matrix, 200)
    torch.testing.assert_close(few.sum(dim=-1), torch.ones(2, 7))
    torch.testing.assert_close(few.sum(dim=-2), torch.ones(2, 7), rtol=0.05, atol=0)
    torch.testing.assert_close(many.sum(dim=-2), torch.ones(2, 7))
    torch.testing.assert_close(many.sum(dim=-1), torch.ones(2, 7))


def test_the_affinity_is_symmetric_and_squared():
    attention = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0)) + 0.1
    affinity = attention_affinity(attention)
    balanced = sinkhorn(attention)[0].double().numpy()
    symmetric = (balanced + balanced.T) / 2
    np.testing.assert_allclose(affinity[0], symmetric @ symmetric, rtol=1e-5)
    torch.testing.assert_close(affinity, affinity.mT)


def test_only_cells_in_boxes_around_strong_parts_spread():
    maps = torch.zeros(1, 2, 3, 4)
    maps[0, 0, 0, 0], maps[0, 0, 1, 1], maps[0, 0, 2, 3] = 1.0, 0.5, 0.4
    maps[0, 0, 0, 1] = 0.1  # weak, but in the box of the first two
    uniform = torch.full((1, 12, 12), 1 / 12)
    spread = spread_from_boxes(maps, uniform)
    torch.testing.assert_close(spread[0, 0], torch.full((3, 4), 1.6 / 12))
    assert (spread[0, 1] == 0).all()
    identity = spread_from_boxes(maps, torch.eye(12)[None])[0, 0]
    assert identity[0, 1] == pytest.approx(0.1) and identity[2, 3] == 0


def test_two_strong_parts_have_a_box_each():
    cells = np.zeros((4, 6), np.float32)
    cells[0, 0], cells[3, 4:] = 1, 0.9
    boxes = strong_boxes(cells)
    assert boxes.sum() == 3 and boxes[0, 0] and boxes[3, 4:].all()
    assert not strong_boxes(np.zeros((3, 3), np.float32)).any()


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (1, 300), (700, 30)])
def test_maps_of_any_size_follow_a_mirrored_image(loaded, texts, size):
    image = image_of(*size)
    maps = text_maps(loaded, image, texts, 2)
    rows, columns = maps.shape[1:]
    assert max(rows, columns) == 16 and (rows >= columns) == (size[0] >= size[1])
    assert maps.max() > 0 and np.isfinite(maps).all() and (maps >= 0).all()
    mirrored = text_maps(loaded, image[:, ::-1], texts, 2)
    np.testing.assert_allclose(mirrored[..., ::-1], maps, rtol=0, atol=1e-2 * maps.max())


def test_threads_share_a_model(loaded, texts):
    images = [image_of(30, 40, seed) for seed in range(4)]
    alone = [text_maps(loaded, image, texts, 2) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: text_maps(loaded, image, texts, 2), images))
    np.testing.assert_array_equal(together, alone)


def test_phrases_of_one_meaning_are_averaged(loaded):
    one, other, both = text_features(loaded, (("a cat",), ("a dog",), ("a cat", "a dog")))
    torch.testing.assert_close(both, functional.normalize(one + other, dim=-1))
    assert not torch.allclose(one, other, atol=0.01)


def test_a_text_has_its_feature_whatever_stands_beside_it(loaded):
    (alone,) = text_features(loaded, (("a cat",),))
    beside = text_features(loaded, (("a very much longer text",), ("a cat",)))[1]
    torch.testing.assert_close(alone, beside)


def test_a_long_phrase_is_refused(loaded):
    with pytest.raises(InputError, match=r"cam\.clip must be phrases of at most 77 tokens, got"):
        text_features(loaded, (("x" * 100,),))


def test_names_and_synonyms_stand_in_the_prompt():
    phrases = phrases_of(["potted_plant", "c7"], {"c7": ("sofa", "couch")}, "a {}.")
    assert phrases == (("a potted plant.",), ("a sofa.", "a couch."))
