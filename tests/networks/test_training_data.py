from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from wsseg.data.annotation import Box
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map
from wsseg.networks import training_data as module
from wsseg.networks.batches import normalize
from wsseg.networks.training_data import TrainingBatches, TrainingPair

Pairs = list[TrainingPair]


def batches(pairs, model, trainer, **more):
    return TrainingBatches(pairs, model, trainer, **{"seed": 0, **more})


def test_shapes_and_types(pairs, model_settings, trainer_settings):
    images, (labels, inside, *_) = batches(pairs, model_settings, trainer_settings).batch(0)
    assert inside.shape == labels.shape and inside.dtype == torch.bool
    assert images.shape == (4, 3, 32, 32) and images.dtype == torch.float32
    assert labels.shape == (4, 32, 32) and labels.dtype == torch.int64


def test_a_batch_depends_on_seed_and_step_only(pairs, model_settings, trainer_settings):
    whole = list(batches(pairs, model_settings, trainer_settings))
    torch.manual_seed(1)
    later = batches(pairs, model_settings, trainer_settings)
    later.first_step = 4
    resumed = list(later)
    assert len(whole) == 6 and len(resumed) == 2
    torch.testing.assert_close(resumed, whole[4:], rtol=0, atol=0)
    other = batches(pairs, model_settings, trainer_settings, seed=1).batch(0)
    assert not torch.equal(other[0], whole[0][0])


def test_devices_share_each_batch(pairs, model_settings, trainer_settings):
    data = batches(pairs, model_settings, trainer_settings)
    whole, _ = data.batch(3)
    for rank in (0, 1):
        part, _ = data.batch(3, rank, world_size=2)
        torch.testing.assert_close(part, whole[rank::2], rtol=0, atol=0)


def test_image_and_labels_move_together_and_padding_is_ignore(
    pairs, model_settings, trainer_settings, monkeypatch
):
    monkeypatch.setattr(module, "JITTER", 0.0)
    trainer = trainer_settings.model_copy(update={"crop": (64, 64)})
    images, (labels, inside, *_) = batches(pairs, model_settings, trainer).batch(0)
    assert (labels == IGNORE).any()
    assert (inside == (labels != IGNORE)).all()
    bright = (
        images.mean(dim=1)
        > normalize(torch.full((3, 1, 1), 155, dtype=torch.uint8), model_settings).mean()
    )
    seen = labels != IGNORE
    assert (bright == (labels == 1))[seen].float().mean() > 0.98


def test_nothing_to_train_on(model_settings, trainer_settings):
    with pytest.raises(InputError, match="training set"):
        batches([], model_settings, trainer_settings)


def test_shrunk_labels_stay_centred_on_their_image(
    tmp_path, model_settings, trainer_settings, monkeypatch
):
    # The middle one of three columns that become one gives the label.
    monkeypatch.setattr(module, "JITTER", 0.0)
    labels = np.zeros((6, 6), np.uint8)
    labels[:, [1, 4]] = 1
    pair = TrainingPair(tmp_path / "image.png", tmp_path / "labels.png")
    Image.fromarray(np.repeat(labels[..., None] * 255, 3, axis=2)).save(pair.image)
    write_label_map(pair.label_map, labels)
    model = model_settings.model_copy(update={"scale": 1 / 3})
    still = {"crop": (2, 2), "zoom": (1.0, 1.0)}
    _, shrunk = batches([pair], model, trainer_settings.model_copy(update=still)).batch(0)
    assert (shrunk.labels == 1).all()


def test_boxes_move_with_their_image(pairs, model_settings, trainer_settings, monkeypatch):
    """The boxes are drawn as label maps, too, and both go through the same crops and flips."""
    monkeypatch.setattr(module, "JITTER", 0.0)
    drawn = []
    for pair in pairs:
        height, width = read_label_map(pair.label_map).shape
        behind = Box(1, 1, 1, width - 1, height - 1)
        front = Box(2, 2, 3, width // 2, height // 2)
        labels = np.zeros((height, width), np.uint8)
        labels[behind.slices], labels[front.slices] = 1, 2
        write_label_map(pair.label_map, labels)
        drawn.append(replace(pair, boxes=(front, behind)))
    trainer = trainer_settings.model_copy(update={"crop": (64, 64)})
    for step in range(3):
        _, target = batches(drawn, model_settings, trainer).batch(step)
        expected = target.labels.where(target.inside, 0)
        assert {0, 1, 2} == {*expected.unique().tolist()}
        torch.testing.assert_close(target.box_labels, expected)
        # The box in front is number 1; it hides rows and columns of the other one in part.
        front = (target.labels == 2) & target.inside
        for numbers, axis in ((target.row_boxes, 2), (target.column_boxes, 1)):
            torch.testing.assert_close(numbers == 1, front)
            hidden = front.any(dim=axis, keepdim=True).expand_as(front)
            torch.testing.assert_close(numbers == 2, (expected == 1) & ~hidden)
