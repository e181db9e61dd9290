import numpy as np
import pytest
import torch
from helpers.builders import transformer
from torch.nn import functional

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.batches import normalize
from wsseg.networks.checkpoints import save_network
from wsseg.networks.classifier import build_classifier
from wsseg.networks.params import ClassifierNetworkParams, SegmenterParams
from wsseg.networks.segmenter import build_network
from wsseg.runs.config import config_from_values
from wsseg.stages.selection.encoders import EncoderSource, encoder_source

TINY = ClassifierNetworkParams(encoder="mobilenetv3_small_050", weights=None)
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def config(**sections):
    return config_from_values({"run_dir": ".", "data": {"root": "."}, **sections}, "test")


def as_input(settings, size):
    pixels = normalize(torch.from_numpy(IMAGE).permute(2, 0, 1)[None], settings)
    return functional.interpolate(pixels, size, mode="bilinear", antialias=True)


def unit(features):
    mean = features[0].mean(dim=(1, 2))
    return (mean / mean.norm()).detach().numpy()


def test_the_vector_is_the_mean_of_the_last_feature_map(tmp_path):
    settings = TINY.model_copy(update={"scale": 0.5, "mean": (0.1, 0.2, 0.3)})
    torch.manual_seed(5)
    network = build_classifier(settings, 1).eval()
    weights = tmp_path / "tiny.pth"
    torch.save(network.encoder.model.state_dict(), weights)
    settings = settings.model_copy(update={"weights": str(weights)})
    found = EncoderSource("classifier", settings).load().embed(IMAGE)
    expected = unit(network.encoder(as_input(settings, [25, 35])))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32 and np.linalg.norm(found) == pytest.approx(1)


def test_the_encoder_of_a_run_sees_sides_that_it_can_divide(tmp_path, model_settings):
    torch.manual_seed(3)
    network = build_network(model_settings, 3).eval()
    classes = Classes(("background", "a", "b"))
    save_network(tmp_path / "model.ckpt", "segmenter", network, model_settings, classes)
    source = encoder_source(config(), None, tmp_path / "model.ckpt")
    assert source.section == "run"
    expected = unit(network.encoder(as_input(model_settings, [64, 64]))[-1])
    np.testing.assert_allclose(source.load().embed(IMAGE), expected, atol=1e-5)


@pytest.mark.parametrize("architecture", ["DPT", "Linear"])
def test_transformers_of_segmenters_and_classifiers(architecture):
    model = transformer(architecture)
    vector = EncoderSource("model", model).load().embed(IMAGE)
    assert vector.shape == (24,) and np.linalg.norm(vector) == pytest.approx(1)
    tags = ClassifierNetworkParams(
        encoder=model.encoder.removeprefix("tu-"), encoder_kwargs=model.encoder_kwargs, weights=None
    )
    assert EncoderSource("classifier", tags).load().embed(IMAGE).shape == (24,)


def test_random_weights_are_always_the_same_and_leave_the_random_state():
    torch.manual_seed(1)
    one = EncoderSource("classifier", TINY).load().embed(IMAGE)
    drawn = torch.rand(1)
    torch.manual_seed(2)
    np.testing.assert_array_equal(one, EncoderSource("classifier", TINY).load().embed(IMAGE))
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))


@pytest.mark.parametrize(
    ("sections", "section"),
    [
        ({}, "classifier"),
        ({"classifier": {"output_stride": 16}}, "classifier"),
        ({"model": {"encoder": "resnet18"}}, "model"),
        ({"model": {"encoder": "resnet18"}, "classifier": {"output_stride": 16}}, "classifier"),
    ],
)
def test_the_section_that_the_settings_have(sections, section):
    assert encoder_source(config(**sections)).section == section


def test_the_key_changes_with_all_that_vectors_depend_on_and_nothing_else(tmp_path):
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"1")
    settings = TINY.model_copy(update={"weights": str(weights)})
    base = EncoderSource("classifier", settings).key()
    others = [
        settings.model_copy(update=change)
        for change in (
            {"encoder": "resnet18"},
            {"scale": 0.5},
            {"mean": (0.5, 0.5, 0.5)},
            {"encoder_kwargs": {"pad_type": "same"}},
            {"output_stride": 16},
        )
    ]
    keys = [EncoderSource("classifier", other).key() for other in others]
    same = EncoderSource("classifier", settings.model_copy(update={"frozen_blocks": 2}))
    assert base not in keys and same.key() == base
    weights.write_bytes(b"22")
    assert EncoderSource("classifier", settings).key() != base


def test_unavailable_encoders_are_refused(tmp_path):
    with pytest.raises(InputError, match="encoder of a run needs a run"):
        encoder_source(config(), "run")
    missing = TINY.model_copy(update={"weights": str(tmp_path / "none.pth")})
    with pytest.raises(InputError, match="no such file"):
        EncoderSource("classifier", missing).check()
    model = SegmenterParams(encoder="resnet1800", weights=None)
    with pytest.raises(InputError, match="the network of model cannot be built"):
        EncoderSource("model", model).check()


def test_features_of_nothing_have_no_direction():
    encoder = EncoderSource("classifier", TINY).load()
    with torch.no_grad():
        for parameter in encoder.body.parameters():
            parameter.zero_()
    with pytest.raises(InputError, match="The features must be finite and not all 0"):
        encoder.embed(IMAGE)
