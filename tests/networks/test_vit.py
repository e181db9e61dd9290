import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.checkpoints import save_network
from wsseg.networks.losses.registry import LOSSES, WeightedLosses
from wsseg.networks.params import PredictionParams, SegmenterParams, SegmenterTrainingParams
from wsseg.networks.prediction import Segmenter, load_segmenter
from wsseg.networks.segmenter import build_network, check_network
from wsseg.networks.training_data import Target
from wsseg.networks.weights import load_encoder_weights, weight_source

CLASSES = Classes(("background", "a", "b"))
SMALL = {"embed_dim": 24, "num_heads": 2, "depth": 4, "img_size": 32}
ENCODERS = {
    "tu-vit_tiny_patch16_224": SMALL,
    "tu-vit_small_patch8_224": SMALL,
    "tu-vit_small_patch32_224": SMALL,
    "tu-vit_small_patch14_dinov2": {**SMALL, "img_size": 42},
    "tu-vit_small_patch14_reg4_dinov2": {**SMALL, "img_size": 42},
    "tu-vit_small_patch16_dinov3": SMALL,
    "tu-vit_base_patch16_clip_224": SMALL,
    "tu-samvit_base_patch16": {**SMALL, "window_size": 2, "global_attn_indexes": (1, 3)},
}
DECODERS = {
    "DPT": {"decoder_intermediate_channels": [8, 8, 8, 8], "decoder_fusion_channels": 8},
    "Linear": {},
}
DINO = "tu-vit_small_patch14_dinov2"


def params_of(encoder=DINO, architecture="DPT", **changes):
    return SegmenterParams(
        architecture=architecture,
        encoder=encoder,
        encoder_kwargs=ENCODERS.get(encoder, {}),
        decoder_kwargs=DECODERS[architecture],
        **{"weights": None, **changes},
    )


def network_of(*args, **kwargs):
    torch.manual_seed(0)
    return build_network(params_of(*args, **kwargs), 3)


def half(height=45, width=61):
    """Return an image whose bright half is class 1, and its labels."""
    labels = torch.zeros(2, height, width, dtype=torch.long)
    labels[:, :, width // 2 :] = 1
    return labels[:, None].expand(-1, 3, -1, -1).float() * 2 - 1, labels


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_images_of_any_size(encoder, architecture):
    check_network(params_of(encoder, architecture))
    network = network_of(encoder, architecture).eval()
    for size in [(61, 83), (1, 5), (64, 96)]:
        with torch.no_grad():
            assert network(torch.randn(1, 3, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_trainable_parameter_has_a_gradient_and_the_loss_falls(encoder, architecture):
    network = network_of(encoder, architecture)
    images, labels = half()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(6):
        losses.append(functional.cross_entropy(network(images), labels))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None] == []
    assert any(name.startswith("encoder.") for name in trained)


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("blocks", ["all", 4])
def test_a_frozen_encoder_keeps_nothing_for_a_backward_pass(architecture, blocks):
    network = network_of(architecture=architecture, frozen_blocks=blocks)
    encoder = network.get_submodule("encoder")
    outputs = []
    encoder.register_forward_hook(lambda *call: outputs.append(call[2]))
    images, labels = half()
    functional.cross_entropy(network(images), labels).backward()
    assert not any(p.requires_grad or p.grad is not None for p in encoder.parameters())
    maps = outputs[0][0] if architecture == "DPT" else outputs
    assert not any(one.requires_grad for one in maps)
    assert (
        network.get_submodule("segmentation_head")
        .get_parameter("head.4.weight" if architecture == "DPT" else "weight")
        .grad.any()
    )


def test_the_first_blocks_are_frozen_with_all_that_precedes_them():
    encoder = network_of(frozen_blocks=3).get_submodule("encoder.model")
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in encoder.named_parameters() if "blocks.3." in name}


@pytest.mark.parametrize("architecture", DECODERS)
def test_logits_are_those_of_the_padded_image(architecture):
    network = network_of(architecture=architecture).eval()
    image = torch.randn(1, 3, 45, 61)
    with torch.no_grad():
        padded = network(functional.pad(image, (0, 84 - 61, 0, 56 - 45)))
        multiple = 28 if architecture == "DPT" else 14
        assert network.multiple == multiple
        if architecture == "Linear":  # 70 is enough
            padded = network(functional.pad(image, (0, 70 - 61, 0, 56 - 45)))
        torch.testing.assert_close(network(image), padded[..., :45, :61])


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_saved_network_predicts_the_same_in_tiles_too(architecture, tmp_path, monkeypatch):
    monkeypatch.setattr("wsseg.networks.prediction._TILE", 40)
    params, network = params_of(architecture=architecture), network_of(architecture=architecture)
    save_network(tmp_path / "model.ckpt", "segmenter", network, params, CLASSES)
    loaded = load_segmenter(tmp_path / "model.ckpt", "cpu")
    image = np.random.default_rng(0).integers(0, 256, (33, 71, 3), dtype=np.uint8)
    views = PredictionParams(scales=(0.75, 1.0))
    found = loaded.predict(image, views)
    expected = Segmenter(network.eval(), CLASSES, params).predict(image, views)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    mirrored = loaded.predict(image[:, ::-1], views)[..., ::-1]
    assert mirrored.shape == found.shape == (3, 33, 71)


@pytest.mark.parametrize("architecture", DECODERS)
def test_losses_see_features_of_the_image_alone(architecture, monkeypatch):
    inputs = []
    monkeypatch.setitem(LOSSES, "ce", lambda x: inputs.append(x) or x.logits.sum())
    network, (images, labels) = network_of(architecture=architecture), half(29, 57)
    target = Target(labels, labels < 2, torch.ones(2, 3, dtype=torch.bool), *[labels * 0] * 3)
    loss = WeightedLosses(SegmenterTrainingParams(), params_of())(network, images, target, 0.0)
    height, width = inputs[0].features.shape[2:]
    cell = 14 if architecture == "Linear" else 2 * 14 / 16
    assert (height, width) == (-(-29 // cell), -(-57 // cell))
    assert loss.isfinite()


def weights_file(folder, name="vit_small_patch14_dinov2", **changes):
    torch.manual_seed(1)
    model = timm.create_model(name, num_classes=7, **{**SMALL, "img_size": 84, **changes})
    save_file(model.state_dict(), folder / "weights.safetensors")
    return model, str(folder / "weights.safetensors")


@pytest.mark.parametrize("architecture", DECODERS)
def test_local_weights_of_another_grid_are_resampled(architecture, tmp_path):
    model, path = weights_file(tmp_path)
    body = network_of(architecture=architecture, weights=path).get_submodule("encoder.model")
    assert torch.equal(
        body.get_parameter("blocks.3.mlp.fc1.weight"), model.blocks[3].mlp.fc1.weight
    )
    loaded = body.get_parameter("pos_embed")
    assert loaded.shape == (1, 1 + 9, 24) and model.pos_embed.shape == (1, 1 + 36, 24)
    grid = model.pos_embed.detach()[:, 1:].reshape(1, 6, 6, 24).permute(0, 3, 1, 2)
    small = functional.interpolate(grid, (3, 3), mode="bicubic", antialias=True)
    torch.testing.assert_close(loaded.detach()[:, 1:], small.flatten(2).transpose(1, 2))


def test_published_weights_of_dinov2_are_converted(tmp_path):
    encoder = network_of("tu-vit_small_patch14_reg4_dinov2").get_submodule("encoder")
    generator = torch.Generator().manual_seed(1)
    state = {
        name.removeprefix("model."): torch.randn(value.shape, generator=generator)
        for name, value in encoder.state_dict().items()
    }
    published = {**state, "mask_token": torch.zeros(1, 24)}
    published["register_tokens"] = published.pop("reg_token")
    published["pos_embed"] = torch.cat([torch.zeros(1, 1, 24), state["pos_embed"]], dim=1)
    torch.save(published, tmp_path / "dino.pth")
    assert load_encoder_weights(encoder, tmp_path / "dino.pth") == len(state)
    torch.testing.assert_close(dict(encoder.get_submodule("model").state_dict()), state)


def test_weights_without_position_embeddings_are_refused(tmp_path):
    encoder = network_of().get_submodule("encoder")
    state = encoder.get_submodule("model").state_dict()
    del state["pos_embed"]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="61 of 62 tensors that fit, without pos_embed"):
        load_encoder_weights(encoder, tmp_path / "weights.pth")


@pytest.mark.parametrize("change", [{"embed_dim": 36}, {"depth": 2}])
def test_weights_of_another_model_are_refused(change, tmp_path):
    _, path = weights_file(tmp_path, **change)
    with pytest.raises(InputError, match=r"weights\.safetensors must be .* tensors that fit"):
        network_of(weights=path)


@pytest.mark.parametrize("use", [check_network, lambda params: build_network(params, 2)])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "DTP"}, "did you mean 'DPT'"),
        ({"encoder": "tu-vit_tiny_patch16_225"}, "did you mean 'vit_tiny_patch16_224'"),
        ({"encoder": "vit_tiny_patch16_224"}, "set it to tu-vit_tiny_patch16_224"),
        ({"encoder": "tu-resnet18"}, "a plain vision transformer"),
        ({"encoder": "tu-sam2_hiera_tiny"}, "a plain vision transformer"),
        ({"encoder_kwargs": {"depth": 3}}, "at least 4 blocks for DPT, got .* 3 blocks"),
        ({"decoder_kwargs": {"decoder_readout": "none"}}, "Invalid readout mode"),
        ({"decoder_kwargs": {"no_such_argument": 1}}, "no_such_argument"),
        ({"encoder_kwargs": {"no_such_argument": 1}}, "no_such_argument"),
    ],
)
def test_bad_settings(change, message, use):
    settings = {"architecture": "DPT", "encoder": "tu-vit_tiny_patch16_224", "weights": None}
    with pytest.raises(InputError, match=message):
        use(SegmenterParams(**{**settings, **change}))


@pytest.mark.parametrize("use", [check_network, lambda params: build_network(params, 2)])
@pytest.mark.parametrize("architecture", DECODERS)
def test_a_transformer_for_one_image_size_is_refused(architecture, use):
    with pytest.raises(InputError, match=r"model\.encoder must be a model for images of any size"):
        use(params_of("tu-beit_base_patch16_224", architecture))


def test_a_linear_head_takes_any_model_of_timm():
    network = network_of("tu-resnet10t", "Linear").eval()
    assert network(torch.randn(1, 3, 33, 47)).shape == (1, 3, 33, 47)


@pytest.mark.parametrize(
    ("encoder", "repository"),
    [
        ("tu-vit_small_patch14_dinov2", "timm/vit_small_patch14_dinov2.lvd142m"),
        ("tu-vit_small_patch16_dinov3", "timm/vit_small_patch16_dinov3.lvd1689m"),
        ("tu-samvit_base_patch16.sa1b", "timm/samvit_base_patch16.sa1b"),
    ],
)
def test_the_source_of_the_weights(encoder, repository):
    assert str(weight_source(SegmenterParams(architecture="DPT", encoder=encoder))) == repository
