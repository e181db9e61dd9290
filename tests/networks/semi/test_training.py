"""The semi-supervised training: its terms by hand, and what a kill does to it."""

import pytest
import torch
from helpers.builders import transformer
from lightning.pytorch.callbacks import Callback
from torch.nn import functional

from wsseg.data.model import Sample
from wsseg.networks.losses.registry import WeightedLosses
from wsseg.networks.params import MachineParams
from wsseg.networks.segmenter import build_network
from wsseg.networks.semi.callbacks import CollapseAlarm, object_recall
from wsseg.networks.semi.params import SemiParams
from wsseg.networks.semi.training import PairedBatches, SemiTraining
from wsseg.networks.semi.views import ViewBatches
from wsseg.networks.train import fit
from wsseg.networks.training_data import TrainingBatches, TrainingPair

Pairs = list[TrainingPair]


MACHINE = MachineParams(device="cpu", checkpoint_every=2)


class KilledError(RuntimeError):
    pass


def parts(pairs, model, trainer, semi):
    torch.manual_seed(0)
    training = SemiTraining(
        build_network(model, 2),
        trainer,
        WeightedLosses(trainer, model),
        semi,
        torch.tensor(semi.min_confidence),
        seed=0,
        freeze_batch_norm=False,
    )
    samples = [Sample(pair.image.stem, pair.image, (40, 48), (), "train") for pair in pairs[2:]]
    views = ViewBatches(samples, 2, model, trainer, semi, seed=1)
    labelled = TrainingBatches(pairs[:2], model, trainer, seed=0)
    return training, PairedBatches(labelled, views, views, 0)


EVERYTHING = {
    "burn_in": 2,
    "weight": 0.7,
    "min_confidence": 0.55,
    "focal": 1.0,
    "confidence_power": 1.0,
    "boundary": 0.5,
    "shrink": 0.3,
    "strong_views": 2,
    "feature_view": True,
    "decay": 0.8,
    "update_every": 2,
}


@pytest.mark.parametrize(
    "changes", [{}, EVERYTHING, {"lookahead": 2}], ids=["plain", "all", "lookahead"]
)
def test_a_resumed_training_equals_an_unbroken_one(
    pairs,
    model_settings,
    trainer_settings,
    tmp_path,
    changes,
):
    semi = SemiParams.model_validate({"min_confidence": 0.55, **changes})
    unbroken, batches = parts(pairs, model_settings, trainer_settings, semi)
    fit(unbroken, batches, tmp_path / "a", machine=MACHINE)

    class Kill(Callback):
        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == 5:  # type: ignore[attr-defined]
                raise KilledError

    killed, batches = parts(pairs, model_settings, trainer_settings, semi)
    with pytest.raises(KilledError):
        fit(killed, batches, tmp_path / "b", [Kill()], machine=MACHINE)
    resumed, batches = parts(pairs, model_settings, trainer_settings, semi)
    fit(resumed, batches, tmp_path / "b", machine=MACHINE)
    torch.testing.assert_close(resumed.state_dict(), unbroken.state_dict(), rtol=0, atol=0)
    moved = unbroken.teacher.network.state_dict()
    assert any(not torch.equal(moved[k], v) for k, v in unbroken.network.state_dict().items())


@pytest.mark.parametrize("architecture", ["DPT", "Linear"])
def test_transformers_take_all_losses_and_crops_of_any_size(
    pairs, trainer_settings, tmp_path, architecture
):
    semi = SemiParams.model_validate({**EVERYTHING, "min_confidence": 0.4})
    trainer = trainer_settings.model_copy(update={"crop": (37, 45)})
    training, batches = parts(pairs, transformer(architecture), trainer, semi)
    before = {name: value.clone() for name, value in training.auxiliary.state_dict().items()}
    fit(training, batches, tmp_path, machine=MACHINE)
    after = training.auxiliary.state_dict()
    assert all(value.isfinite().all() for value in training.state_dict().values())
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.usefixtures("plain_views")
def test_loss_is_that_of_masks_and_of_the_teachers_labels(pairs, model_settings, trainer_settings):
    semi = SemiParams(min_confidence=0.5, weight=2.0)
    training, batches = parts(pairs, model_settings, trainer_settings, semi)
    training.eval()
    (images, target), (weak, views) = batches.batch(0)
    found = training.loss_of(((images, target), (weak, views)))
    with torch.no_grad():
        on_masks = functional.cross_entropy(
            training.network(images), target.labels, ignore_index=255
        )
        logits = training.network(weak)
        sure, labels = logits.softmax(dim=1).max(dim=1)
        each = functional.cross_entropy(logits, labels, reduction="none")
        kept = views.inside & (sure >= 0.5)
        expected = on_masks + 2 * (each * kept).sum() / views.inside.sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_before_burn_in_only_masks_teach_and_the_teacher_waits(
    pairs, model_settings, trainer_settings, tmp_path
):
    semi = SemiParams(burn_in=6)
    training, batches = parts(pairs, model_settings, trainer_settings, semi)
    first = {k: v.clone() for k, v in training.network.state_dict().items()}
    waiting = trainer_settings.model_copy(update={"steps": 5})
    training.params = batches.trainer = batches.labelled.trainer = waiting
    fit(training, batches, tmp_path, machine=MACHINE)
    torch.testing.assert_close(dict(training.teacher.network.state_dict()), first, rtol=0, atol=0)


def test_batches_switch_from_the_reliable_half_to_all(pairs, model_settings, trainer_settings):
    _, batches = parts(pairs, model_settings, trainer_settings, SemiParams())
    other = ViewBatches(
        batches.late.samples[:1],
        2,
        model_settings,
        trainer_settings,
        SemiParams(),
        seed=1,
    )
    switched = PairedBatches(batches.labelled, other, batches.late, 3)
    torch.testing.assert_close(switched.batch(2)[1], other.batch(2))
    torch.testing.assert_close(switched.batch(3)[1], batches.late.batch(3))


def test_alarm_stops_a_network_that_sees_background_only(
    pairs, model_settings, trainer_settings, tmp_path
):
    training, batches = parts(pairs, model_settings, trainer_settings, SemiParams())
    head = training.network.get_submodule("segmentation_head")[0]
    with torch.no_grad():
        head.bias.copy_(torch.tensor([1000.0, 0.0]))
    assert object_recall(training.network, batches.labelled) == 0
    alarm = CollapseAlarm(lambda: training.result, 0.9, batches.labelled, trainer_settings.steps)
    curve = fit(training, batches, tmp_path, [alarm], machine=MACHINE)
    assert alarm.step == 3
    assert len(curve) == 1


def test_no_alarm_where_the_network_before_saw_as_little(
    pairs, model_settings, trainer_settings, tmp_path
):
    training, batches = parts(pairs, model_settings, trainer_settings, SemiParams())
    alarm = CollapseAlarm(lambda: training.result, 0.0, batches.labelled, trainer_settings.steps)
    fit(training, batches, tmp_path, [alarm], machine=MACHINE)
    assert alarm.step is None
