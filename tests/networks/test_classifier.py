import numpy as np
import pytest
import timm
import torch
from torch import nn

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.checkpoints import save_network, write_checkpoint
from wsseg.networks.classifier import (
    TagClassifier,
    TrainedClassifier,
    build_classifier,
    check_classifier,
    image_tensor,
    load_classifier,
)
from wsseg.networks.encoder import TimmEncoder
from wsseg.networks.params import ClassifierNetworkParams

CLASSES = Classes(("background", "cat", "dog", "cow"))
SMALL = ClassifierNetworkParams(encoder="mobilenetv3_small_050", weights=None)
SMALL_VIT = {"embed_dim": 24, "num_heads": 2, "depth": 2}
FAMILIES = {
    "mobilenetv3_small_050": ({}, 32),
    "resnet10t": ({}, 32),
    "convnext_atto": ({}, 32),
    "vit_tiny_patch16_224": ({"depth": 1}, 16),
    "deit_tiny_distilled_patch16_224": ({"depth": 1}, 16),
    "swin_tiny_patch4_window7_224": (
        {"strict_img_size": False, "embed_dim": 24, "depths": (1, 1, 1, 1)},
        32,
    ),
}


def settings_of(**changes):
    return SMALL.model_copy(update=changes)


def image_of(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("encoder", FAMILIES)
def test_every_family_gives_maps_whose_mean_is_the_score(encoder):
    arguments, stride = FAMILIES[encoder]
    settings = settings_of(encoder=encoder, encoder_kwargs=arguments)
    check_classifier(settings)
    network = build_classifier(settings, 5).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        maps, scores = network.class_maps(images), network(images)
    assert maps.shape == (2, 5, 64 // stride, 96 // stride)
    assert maps.flatten(2).std(dim=2).min() > 0
    torch.testing.assert_close(scores, maps.mean(dim=(2, 3)))


@pytest.mark.parametrize("encoder", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_places_of_a_transformer_s_map_are_those_of_the_image(encoder):
    """The feature map of a changed corner changes most in that corner."""
    network = build_classifier(
        settings_of(encoder=encoder, encoder_kwargs=FAMILIES[encoder][0]), 1
    ).eval()
    images = torch.zeros(1, 3, 64, 128)
    changed = images.clone()
    changed[:, :, -32:, :32] += torch.randn(3, 32, 32)
    with torch.no_grad():
        apart = (network.encoder(changed) - network.encoder(images))[0].norm(dim=0)
    row, column = divmod(int(apart.argmax()), apart.shape[1])
    assert row >= apart.shape[0] // 2
    assert column < apart.shape[1] // 4


def test_an_image_size_that_a_model_does_not_take_says_what_to_do():
    settings = settings_of(encoder="beit_base_patch16_224", encoder_kwargs=SMALL_VIT)
    fixed = build_classifier(settings, 1)
    with pytest.raises(InputError, match=r"any size, got .*\(64\).*\(224\)\.; choose another"):
        fixed(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("encoder", "patch"),
    [
        ("vit_tiny_patch16_224", 16),
        ("vit_small_patch14_reg4_dinov2", 14),
        ("vit_small_patch16_dinov3", 16),
        ("samvit_base_patch16", 16),
    ],
)
def test_transformers_take_any_size_without_settings(encoder, patch):
    settings = settings_of(encoder=encoder, encoder_kwargs=SMALL_VIT)
    check_classifier(settings)
    network = build_classifier(settings, 2).eval()
    image = torch.randn(1, 3, 45, 61)
    with torch.no_grad():
        rows, columns = network.class_maps(image).shape[2:]
        assert (rows, columns) == (round(45 / patch), round(61 / patch))
        size = [rows * patch, columns * patch]
        resized = nn.functional.interpolate(image, size, mode="bilinear", antialias=True)
        torch.testing.assert_close(network.class_maps(image), network.class_maps(resized))
        assert network.encoder.levels(image)[0].shape[2:] == (rows, columns)


class Odd(nn.Module):
    num_features = 4

    def __init__(self, found):
        super().__init__()
        self.found = found

    def forward_features(self, _):
        return self.found


@pytest.mark.parametrize(
    ("found", "got"),
    [
        (torch.zeros(1, 6, 4), r"\(1, 6, 4\)"),
        (torch.zeros(1, 4), r"\(1, 4\)"),
        (torch.zeros(1, 5, 2, 3), r"\(1, 5, 2, 3\)"),
        ([torch.zeros(1, 4, 2, 2)], "list"),
    ],
)
def test_a_model_without_a_feature_map_is_refused(found, got):
    with pytest.raises(InputError, match=f"a model with a feature map, got {got}"):
        TimmEncoder(Odd(found))(torch.zeros(1, 3, 8, 8))


def test_a_score_is_the_mean_of_its_map():
    network, images = TagClassifier(nn.Identity(), 3, 2), torch.randn(4, 3, 5, 7)
    maps = network.class_maps(images)
    assert maps.shape == (4, 2, 5, 7)
    torch.testing.assert_close(network(images), maps.mean(dim=(2, 3)))


@pytest.mark.parametrize("encoder", ["resnet10t", "mobilenetv2_050"])
def test_the_output_stride_is_that_of_the_settings(encoder):
    for stride in (8, 16, 32):
        settings = settings_of(encoder=encoder, output_stride=stride)
        check_classifier(settings)
        network = build_classifier(settings, 2).eval()
        assert network.class_maps(torch.zeros(1, 3, 64, 128)).shape[2:] == (
            64 // stride,
            128 // stride,
        )


def encoder_file(folder, share=1.0):
    state = timm.create_model(SMALL.encoder, num_classes=7).state_dict()
    kept = dict(list(state.items())[: int(len(state) * share)])
    torch.save(kept, folder / "encoder.pth")
    return folder / "encoder.pth"


def test_local_weights_are_loaded_without_their_head(tmp_path):
    path = encoder_file(tmp_path)
    network = build_classifier(settings_of(weights=str(path)), 3)
    given = torch.load(path, weights_only=True)
    assert "classifier.weight" in given
    loaded = network.encoder.model.state_dict()
    assert loaded and all(torch.equal(loaded[name], given[name]) for name in loaded)


def test_too_few_weights_are_refused(tmp_path):
    path = encoder_file(tmp_path, share=0.5)
    with pytest.raises(InputError, match="tensors that fit"):
        build_classifier(settings_of(weights=str(path)), 3)


@pytest.mark.parametrize(
    ("weights", "pretrained"), [("imagenet", True), (None, False), ("local", False)]
)
@pytest.mark.parametrize("encoder", [SMALL.encoder, "hf-hub:someone/somewhere", "hf_hub:a/b"])
def test_names_of_hubs_are_handed_to_timm(monkeypatch, tmp_path, encoder, weights, pretrained):
    """Nothing is downloaded: timm is only asked for weights."""
    asked = []
    create = timm.create_model

    def recorded(name, pretrained=False, **arguments):
        asked.append((name, pretrained, arguments))
        return create(SMALL.encoder, num_classes=0)

    path = str(encoder_file(tmp_path)) if weights == "local" else weights
    monkeypatch.setattr(timm, "create_model", recorded)
    given = {"encoder_kwargs": {"pad_type": "same"}, "output_stride": 16}
    build_classifier(settings_of(encoder=encoder, weights=path, **given), 3)
    last_arguments = {"num_classes": 0, "output_stride": 16, "pad_type": "same"}
    assert asked[-1] == (encoder, pretrained, last_arguments)
    assert not any(was_pretrained for _, was_pretrained, _ in asked[:-1])


def test_a_hub_that_cannot_be_reached_is_an_input_error(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("We couldn't connect\nto the hub")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(InputError, match="built: We couldn't connect to the hub; check encoder"):
        build_classifier(settings_of(weights="imagenet"), 3)


@pytest.mark.parametrize("encoder", ["mobilenetv2_100.ra_in1k", "resnet10t.c3_in1k"])
def test_a_name_with_the_tag_of_its_weights_is_known(encoder):
    settings = settings_of(encoder=encoder)
    check_classifier(settings)
    plain = build_classifier(settings_of(encoder=encoder.split(".")[0]), 2).state_dict()
    tagged = build_classifier(settings, 2).state_dict()
    assert {name: each.shape for name, each in plain.items()} == {
        name: each.shape for name, each in tagged.items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "resnet5O"}, r"classifier\.encoder must be a model of timm.*'resnet50'"),
        ({"encoder": ""}, "did you mean '"),
        ({"encoder_kwargs": {"no_such_argument": 1}}, "no_such_argument"),
        ({"output_stride": 7}, "check encoder, weights, output_stride and encoder_kwargs"),
        ({"encoder": "vit_tiny_patch16_224", "output_stride": 8}, "output_stride"),
        ({"encoder": "resnet10t", "frozen_blocks": 2}, "frozen_blocks=0"),
        ({"weights": "missing.pth"}, "no such file"),
    ],
)
@pytest.mark.parametrize("use", [check_classifier, lambda settings: build_classifier(settings, 2)])
def test_bad_settings_are_refused_before_and_at_building(change, message, use):
    with pytest.raises(InputError, match=message):
        use(settings_of(**change))


def test_checking_makes_no_weights_and_leaves_the_random_state(monkeypatch):
    made = []
    create = timm.create_model

    def seen(*args, **kwargs):
        made.append(create(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(timm, "create_model", seen)
    before = torch.get_rng_state()
    check_classifier(SMALL)
    assert torch.equal(torch.get_rng_state(), before)
    assert made
    assert all(weight.is_meta for weight in made[0].parameters())


def test_frozen_blocks_do_not_train():
    network = build_classifier(settings_of(frozen_blocks=2), 2)
    body = network.encoder.model
    assert not any(weight.requires_grad for weight in body.blocks[:2].parameters())
    assert all(weight.requires_grad for weight in body.blocks[2:].parameters())
    assert network.head.weight.requires_grad


def saved(folder, **changes):
    settings = settings_of(scale=0.5, **changes)
    network = build_classifier(settings, 3).eval()
    with torch.no_grad():
        network.encoder.model.bn1.running_mean += 0.1
    save_network(folder / "deep" / "model.ckpt", "tag classifier", network, settings, CLASSES)
    return network, settings, folder / "deep" / "model.ckpt"


def test_a_classifier_survives_the_disk(tmp_path):
    network, settings, path = saved(tmp_path)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    loaded = load_classifier(path, "cpu")
    assert loaded.classes == CLASSES
    assert loaded.params == settings
    assert not any(module.training for module in loaded.network.modules())
    after = loaded.network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    image = image_of(50, 71)
    expected = TrainedClassifier(network, CLASSES, settings).scores(image)
    np.testing.assert_allclose(loaded.scores(image), expected, atol=1e-6)
    assert list(path.parent.iterdir()) == [path]


def test_the_file_of_the_encoder_s_weights_is_not_needed_to_load(tmp_path):
    weights = encoder_file(tmp_path)
    _, _, path = saved(tmp_path, weights=str(weights))
    weights.unlink()
    assert load_classifier(path, "cpu").params.weights == str(weights)


def test_scores_are_the_mean_of_the_image_and_its_mirror_image(tmp_path):
    network, settings, path = saved(tmp_path)
    loaded, image = load_classifier(path, "cpu"), image_of(50, 71)
    image.setflags(write=False)
    pixels = image_tensor(image, settings, torch.device("cpu"))
    assert pixels.shape == (1, 3, 25, round(71 / 2))
    with torch.no_grad():
        one, other = network(pixels), network(pixels.flip(3))
    expected = (one.sigmoid() + other.sigmoid())[0] / 2
    scores = loaded.scores(image)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_allclose(scores, loaded.scores(image[:, ::-1]), atol=1e-5)
    assert scores.shape == (3,) and scores.dtype == np.float32
    assert (one - other).abs().max() > 1e-5


def test_the_smallest_image_has_scores():
    network = build_classifier(settings_of(scale=0.25), 3).eval()
    scores = TrainedClassifier(network, CLASSES, settings_of(scale=0.25)).scores(image_of(1, 1))
    assert scores.shape == (3,) and np.isfinite(scores).all()


def damaged(kind, path):
    content = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "another":
        write_checkpoint(path, {"state_dict": {}, "classes": ["background", "cat"], "model": {}})
    elif kind == "a list":
        write_checkpoint(path, ["state_dict", "classes", "classifier"])
    else:
        path.write_bytes({"empty": b"", "text": b"no weights", "cut": content[:-2000]}[kind])


@pytest.mark.parametrize("kind", ["missing", "another", "a list", "empty", "text", "cut"])
def test_a_damaged_or_another_file_is_an_input_error(tmp_path, kind):
    _, _, path = saved(tmp_path)
    damaged(kind, path)
    with pytest.raises(
        InputError, match=r"model\.ckpt (does not exist|is damaged|holds no tag classifier)"
    ):
        load_classifier(path, "cpu")
