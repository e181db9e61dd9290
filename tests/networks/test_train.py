import signal
import sys
import zipfile
from contextlib import contextmanager
from shutil import which

import pytest
import torch
from helpers.builders import transformer

from wsseg.errors import DivergenceError, InputError
from wsseg.networks import checkpoints
from wsseg.networks import train as module
from wsseg.networks.losses.registry import WeightedLosses
from wsseg.networks.params import MachineParams, SegmenterParams
from wsseg.networks.segmenter import build_network
from wsseg.networks.train import TrainingModule, check_training, fit
from wsseg.networks.training_data import TrainingBatches, TrainingPair

Pairs = list[TrainingPair]


def report(message):
    print(message, file=sys.stderr)


class KilledError(RuntimeError):
    pass


def trained(pairs, model, trainer, folder, **machine):
    torch.manual_seed(0)
    work = training_of(build_network(model, 2), trainer, model.freeze_batch_norm)
    batches = TrainingBatches(pairs, model, trainer, seed=0)
    machine = MachineParams(device="cpu", checkpoint_every=2, **machine)
    curve = fit(work, batches, folder, machine=machine, average=trainer.average, report=report)
    return work.network, curve


def training_of(network, trainer, frozen):
    objective = WeightedLosses(trainer, SegmenterParams())
    return TrainingModule(network, trainer, objective, seed=0, freeze_batch_norm=frozen)


@contextmanager
def killed_after_step_5():
    def killed(_, trainer, *__):
        if trainer.global_step == 5:
            raise KilledError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module.LossCurve, "on_train_batch_start", killed, raising=False)
        with pytest.raises(KilledError):
            yield


def test_it_learns(pairs, model_settings, trainer_settings, tmp_path):
    longer = trainer_settings.model_copy(update={"steps": 100})
    _, curve = trained(pairs, model_settings, longer, tmp_path)
    assert len(curve) == 2
    assert curve[1] < 0.6 * curve[0]


@pytest.mark.parametrize(
    ("architecture", "average"), [("Unet", None), ("DeepLabV3Plus", None), ("Unet", 0.7)]
)
def test_a_resumed_training_equals_an_unbroken_one(
    pairs,
    model_settings,
    trainer_settings,
    tmp_path,
    architecture,
    average,
):
    trainer_settings = trainer_settings.model_copy(update={"average": average})
    changes = {"architecture": architecture, "decoder_kwargs": {}}
    model = model_settings.model_copy(update=changes)
    unbroken, curve = trained(pairs, model, trainer_settings, tmp_path / "a")
    with killed_after_step_5():
        trained(pairs, model, trainer_settings, tmp_path / "b")
    assert (tmp_path / "b" / "checkpoint" / "last.ckpt").exists()
    resumed, resumed_curve = trained(pairs, model, trainer_settings, tmp_path / "b")
    torch.testing.assert_close(resumed.state_dict(), unbroken.state_dict(), rtol=0, atol=0)
    assert resumed_curve == curve


@pytest.mark.parametrize("architecture", ["DPT", "Linear"])
def test_a_frozen_transformer_learns_from_crops_of_any_size_and_resumes(
    pairs, trainer_settings, tmp_path, architecture
):
    model = transformer(architecture, frozen_blocks="all")
    trainer = trainer_settings.model_copy(update={"crop": (37, 45), "steps": 16})
    unbroken, curve = trained(pairs, model, trainer, tmp_path / "a")
    with killed_after_step_5():
        trained(pairs, model, trainer, tmp_path / "b")
    resumed, resumed_curve = trained(pairs, model, trainer, tmp_path / "b")
    torch.testing.assert_close(resumed.state_dict(), unbroken.state_dict(), rtol=0, atol=0)
    assert resumed_curve == curve
    torch.manual_seed(0)
    before = build_network(model, 2).state_dict()
    changed = {k for k, v in unbroken.state_dict().items() if not torch.equal(before[k], v)}
    assert changed and not any(name.startswith("encoder.") for name in changed)


def test_average_of_weights_is_the_result(pairs, model_settings, trainer_settings, tmp_path):
    seen: list[torch.Tensor] = []
    name = "segmentation_head.0.weight"

    def watched(_, __, training, *___):
        seen.append(training.network.get_parameter(name).detach().clone())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module.LossCurve, "on_train_batch_start", watched, raising=False)
        averaging = trainer_settings.model_copy(update={"average": 0.7})
        network, _ = trained(pairs, model_settings, averaging, tmp_path / "a")
    last, _ = trained(pairs, model_settings, trainer_settings, tmp_path / "b")
    expected = seen[1]
    for weight in [*seen[2:], last.get_parameter(name)]:
        expected = 0.7 * expected + 0.3 * weight
    torch.testing.assert_close(network.get_parameter(name), expected)


def test_killed_after_the_last_step_it_still_ends(
    pairs, model_settings, trainer_settings, tmp_path
):
    unbroken, curve = trained(pairs, model_settings, trainer_settings, tmp_path / "a")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module.LossCurve, "on_fit_end", _kill)
        with pytest.raises(KilledError):
            trained(pairs, model_settings, trainer_settings, tmp_path / "b")
    assert not (tmp_path / "b" / "loss.json").exists()
    resumed, resumed_curve = trained(pairs, model_settings, trainer_settings, tmp_path / "b")
    torch.testing.assert_close(resumed.state_dict(), unbroken.state_dict(), rtol=0, atol=0)
    assert resumed_curve == curve


def _kill(*_):
    raise KilledError


def test_frozen_batch_norm_keeps_its_statistics(pairs, model_settings, trainer_settings, tmp_path):
    torch.manual_seed(0)
    network = build_network(model_settings, 2)
    before = {k: v.clone() for k, v in network.get_submodule("encoder").named_buffers()}
    work = training_of(network, trainer_settings, frozen=True)
    batches = TrainingBatches(pairs, model_settings, trainer_settings, seed=0)
    fit(work, batches, tmp_path, machine=MachineParams(device="cpu"))
    after = dict(network.get_submodule("encoder").named_buffers())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_divergence_stops_with_a_remedy(pairs, model_settings, trainer_settings, tmp_path):
    wild = trainer_settings.model_copy(update={"decoder_lr": 1e30, "encoder_lr": 1e30, "steps": 50})
    with pytest.raises(DivergenceError, match=r"lower encoder_lr"):
        trained(pairs, model_settings, wild, tmp_path)


@pytest.mark.slow
def test_two_devices_train_as_one(pairs, model_settings, trainer_settings, tmp_path):
    # Batch norm sees half a batch on each device, so the two can only agree without it.
    plain = {"decoder_channels": [32, 16, 16, 8, 8], "decoder_use_norm": False}
    model = model_settings.model_copy(update={"decoder_kwargs": plain, "freeze_batch_norm": True})
    trainer = trainer_settings.model_copy(update={"zoom": (1.0, 1.0)})
    one, curve = trained(pairs, model, trainer, tmp_path / "1")
    two, both = trained(pairs, model, trainer, tmp_path / "2", devices=2)
    assert len(both) == len(curve)
    torch.testing.assert_close(two.state_dict(), one.state_dict(), rtol=1e-3, atol=1e-4)


@pytest.fixture
def interrupted(pairs, model_settings, trainer_settings, tmp_path):
    """The checkpoints of a training of 6 steps that was killed after the fifth."""
    with killed_after_step_5():
        trained(pairs, model_settings, trainer_settings, tmp_path / "b")
    return tmp_path / "b" / "checkpoint"


def cut(path, share):
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])


def flip(path, share):
    """Turn a bit of the data that the file holds; of the padding between nothing depends."""
    with zipfile.ZipFile(path) as held:
        last = max(held.infolist(), key=lambda entry: entry.file_size)
        start = held.open(last)._orig_compress_start
    content = bytearray(path.read_bytes())
    content[start + round(share * (last.file_size - 1))] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "share"),
    [*((cut, share) for share in (0, 0.01, 0.5, 0.9, 0.999)), (flip, 0.0), (flip, 0.3)],
)
def test_the_checkpoint_before_is_used_where_the_last_is_damaged(
    pairs,
    model_settings,
    trainer_settings,
    tmp_path,
    interrupted,
    capsys,
    damage,
    share,
):
    damage(interrupted / "last.ckpt", share)
    capsys.readouterr()
    again, curve_again = trained(pairs, model_settings, trainer_settings, tmp_path / "b")
    output = capsys.readouterr().err
    assert f"{interrupted / 'last.ckpt'} is damaged" in output and "going on from step 2" in output
    unbroken, curve = trained(pairs, model_settings, trainer_settings, tmp_path / "a")
    torch.testing.assert_close(again.state_dict(), unbroken.state_dict(), rtol=0, atol=0)
    assert curve_again == curve


def test_without_a_whole_checkpoint_training_starts_again(
    pairs,
    model_settings,
    trainer_settings,
    tmp_path,
    interrupted,
    capsys,
):
    for path in interrupted.iterdir():
        path.write_bytes(b"PK cut off")
    capsys.readouterr()
    again, _ = trained(pairs, model_settings, trainer_settings, tmp_path / "b")
    output = capsys.readouterr().err
    assert output.count("is damaged") == 2 and "training starts again" in output
    unbroken, _ = trained(pairs, model_settings, trainer_settings, tmp_path / "a")
    torch.testing.assert_close(again.state_dict(), unbroken.state_dict(), rtol=0, atol=0)


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    pairs,
    model_settings,
    trainer_settings,
    tmp_path,
    interrupted,
    capsys,
):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoints, "write_checkpoint", _kill)
        with pytest.raises(KilledError):
            trained(pairs, model_settings, trainer_settings, tmp_path / "b")
    assert [path.name for path in interrupted.iterdir()] == ["previous.ckpt"]
    again, _ = trained(pairs, model_settings, trainer_settings, tmp_path / "b")
    assert capsys.readouterr().err.count("going on from step 4") == 2
    unbroken, _ = trained(pairs, model_settings, trainer_settings, tmp_path / "a")
    torch.testing.assert_close(again.state_dict(), unbroken.state_dict(), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.skipif(which("g++") is None, reason="torch compiles with g++")
def test_a_compiled_network_learns_the_same(pairs, model_settings, trainer_settings, tmp_path):
    plain, curve = trained(pairs, model_settings, trainer_settings, tmp_path / "a")
    compiled, its_curve = trained(
        pairs, model_settings, trainer_settings, tmp_path / "b", compile=True
    )
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    assert its_curve == pytest.approx(curve, rel=1e-2)


def test_an_interrupt_stays_one(
    pairs,
    model_settings,
    trainer_settings,
    tmp_path,
    monkeypatch,
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.LossCurve, "on_train_batch_start", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        trained(pairs, model_settings, trainer_settings, tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "banana"}, "Lightning refuses the trainer: .*banana"),
        ({"devices": 3}, r"trainer\.batch_size must be a multiple of machine\.devices x .*, got 4"),
        (
            {"engine": "ray", "ray": {"nodes": 8}},
            r"trainer\.batch_size must be a multiple of .* x machine\.ray\.nodes, got 4",
        ),
    ],
)
def test_machines_that_lightning_refuses(
    pairs,
    model_settings,
    trainer_settings,
    tmp_path,
    change,
    message,
):
    with pytest.raises(InputError, match=message):
        trained(pairs, model_settings, trainer_settings, tmp_path, **change)


def test_a_gpu_that_torch_does_not_find_is_refused(trainer_settings, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"machine\.device is cuda, but torch finds no GPU"):
        check_training(trainer_settings, MachineParams(device="cuda"))
