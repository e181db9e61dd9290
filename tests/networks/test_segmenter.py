import pytest
import torch

from wsseg.errors import InputError
from wsseg.networks.segmenter import build_network
from wsseg.networks.weights import load_encoder_weights, parameter_groups


def encoder_file(settings, folder, share=1.0):
    state = build_network(settings, 2).get_submodule("encoder").model.state_dict()  # type: ignore[union-attr, operator]
    kept = dict(list(state.items())[: int(len(state) * share)])
    torch.save({**kept, "classifier.weight": torch.zeros(3)}, folder / "encoder.pth")
    return folder / "encoder.pth"


def test_local_weights_are_loaded(model_settings, tmp_path):
    path = encoder_file(model_settings, tmp_path)
    network = build_network(model_settings.model_copy(update={"weights": str(path)}), 3)
    stem = network.get_submodule("encoder.model.conv_stem").weight
    assert torch.equal(stem, torch.load(path, weights_only=True)["conv_stem.weight"])


def test_too_few_matching_weights_are_refused(model_settings, tmp_path):
    path = encoder_file(model_settings, tmp_path, share=0.5)
    with pytest.raises(InputError, match="tensors that fit"):
        load_encoder_weights(build_network(model_settings, 2).get_submodule("encoder"), path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_damaged_weights(model_settings, tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(InputError, match="a file of tensors"):
        build_network(model_settings.model_copy(update={"weights": str(tmp_path / "bad.pth")}), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "Unett"}, "did you mean 'Unet'"),
        ({"encoder": "resnet1"}, "resnet18"),
        ({"weights": "missing.pth"}, "no such file"),
        ({"decoder_kwargs": {"no_such_argument": 1}}, "no_such_argument"),
        ({"encoder": "resnet18", "frozen_blocks": 2}, "frozen_blocks=0"),
    ],
)
def test_bad_settings(model_settings, change, message):
    with pytest.raises(InputError, match=message):
        build_network(model_settings.model_copy(update=change), 2)


def test_frozen_blocks_do_not_train(model_settings):
    free, _ = parameter_groups(build_network(model_settings, 2))
    settings = model_settings.model_copy(update={"frozen_blocks": 2})
    network = build_network(settings, 2)
    left, decoder = parameter_groups(network)
    assert 0 < len(left) < len(free)
    assert decoder and not network.get_submodule("encoder.model.conv_stem").weight.requires_grad
