import numpy as np
import pytest
import torch
from helpers.bright import bright_segmenter
from helpers.builders import write_image
from PIL import Image

from wsseg.data.annotation import Box
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map
from wsseg.networks import training_data
from wsseg.networks.box_crops import OBJECT_OR_NOT, BoxCrop, crop_window, predict_box
from wsseg.networks.training_data import TrainingBatches

SIZE = (60, 80)
BOXES = (
    Box(2, left=20, top=10, right=50, bottom=30),
    Box(2, left=0, top=0, right=12, bottom=9),
    Box(2, left=70, top=40, right=80, bottom=60),
    Box(2, left=0, top=0, right=80, bottom=60),
    Box(2, left=33, top=17, right=34, bottom=18),
    Box(2, left=0, top=59, right=80, bottom=60),
    Box(2, left=79, top=0, right=80, bottom=60),
)


@pytest.fixture
def segmenter():
    return bright_segmenter(OBJECT_OR_NOT)


@pytest.fixture
def crops(tmp_path):
    """The boxes of an image that is bright where the label map has class 2."""
    label_map = np.ones(SIZE, np.uint8)
    label_map[14:26, 24:44] = 2
    write_label_map(tmp_path / "labels.png", label_map)
    pixels = np.repeat(np.where(label_map == 2, 230, 20)[..., None], 3, axis=2)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "image.png")
    files = (tmp_path / "image.png", tmp_path / "labels.png", (True, True), BOXES)
    return [BoxCrop(*files, box=box, side=32) for box in BOXES]


def batches(crops, model, trainer, **more):
    return TrainingBatches(crops, model, trainer, **{"seed": 0, **more})


def test_labels_are_the_class_of_the_box_or_not(tmp_path):
    label_map = np.zeros(SIZE, np.uint8)
    label_map[10:30, 20:30], label_map[10:30, 30:40], label_map[10:30, 40:50] = 2, 3, IGNORE
    write_label_map(tmp_path / "labels.png", label_map)
    image = write_image(tmp_path / "image.png", SIZE)
    behind, front = BOXES[0], Box(3, 30, 5, 40, 30)
    crop = BoxCrop(image, tmp_path / "labels.png", boxes=(front, behind), box=behind, side=64)
    pixels, (labels, rows, columns, box_labels), factor = crop.read()
    assert pixels.shape == (36, 46, 3) and labels.shape == (36, 46)
    assert factor == 64 / 46
    expected = label_map[2:38, 12:58]
    assert (labels[expected == 2] == 1).all() and (labels[expected == IGNORE] == IGNORE).all()
    assert (labels[(expected == 0) | (expected == 3)] == 0).all()
    visible = np.isin(expected, (2, IGNORE))  # the box without the one in front
    np.testing.assert_array_equal(columns, visible)
    np.testing.assert_array_equal(box_labels, visible)
    assert not rows.any()  # the box in front hides a part of each row


@pytest.mark.parametrize("box", BOXES)
def test_windows_hold_their_box_and_end_at_the_border(box):
    rows, columns = crop_window(box, SIZE)
    assert 0 <= rows.start <= box.top and box.bottom <= rows.stop <= SIZE[0]
    assert 0 <= columns.start <= box.left and box.right <= columns.stop <= SIZE[1]
    inner = [rows.start > 0, columns.start > 0, rows.stop < SIZE[0], columns.stop < SIZE[1]]
    gaps = [box.top - rows.start, box.left - columns.start]
    gaps += [rows.stop - box.bottom, columns.stop - box.right]
    assert all(gap >= 4 for gap, is_inner in zip(gaps, inner, strict=True) if is_inner)


def test_a_batch_depends_on_seed_and_step_only(crops, model_settings, trainer_settings):
    whole = list(batches(crops, model_settings, trainer_settings))
    torch.manual_seed(1)
    later = batches(crops, model_settings, trainer_settings)
    later.first_step = 4
    torch.testing.assert_close(list(later), whole[4:], rtol=0, atol=0)
    other = batches(crops, model_settings, trainer_settings, seed=1).batch(0)
    assert not torch.equal(other[0], whole[0][0])
    images, target = whole[0]
    assert images.shape == (4, 3, 32, 32) and target.labels.shape == (4, 32, 32)
    assert {*target.labels.unique().tolist()} <= {0, 1, IGNORE}
    assert (target.labels[~target.inside] == IGNORE).all() and target.possible.all()


def test_crops_are_resized_to_their_side(crops, model_settings, trainer_settings, monkeypatch):
    monkeypatch.setattr(training_data, "JITTER", 0.0)
    trainer = trainer_settings.model_copy(update={"zoom": (1.0, 1.0), "batch_size": 2})
    for crop in crops:
        _, (_, inside, *_) = batches([crop], model_settings, trainer).batch(0)
        window = crop_window(crop.box, SIZE)
        height, width = (part.stop - part.start for part in window)
        assert inside[0].any(dim=1).sum() == max(1, round(32 * height / max(height, width)))
        assert inside[0].any(dim=0).sum() == max(1, round(32 * width / max(height, width)))


def test_images_and_labels_move_together(crops, model_settings, trainer_settings, monkeypatch):
    monkeypatch.setattr(training_data, "JITTER", 0.0)
    plain = model_settings.model_copy(update={"mean": (0, 0, 0), "std": (1, 1, 1)})
    images, (labels, inside, *_) = batches(crops, plain, trainer_settings).batch(0)
    agree = (images.mean(dim=1) > 0.5) == (labels == 1)
    assert (labels == 1).any() and agree[inside].float().mean() > 0.95


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("side", [24, 128, 512])
def test_a_prediction_lies_where_its_box_is(segmenter, box, side):
    """A network that sees the image itself predicts it, whatever the crop and its size."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, :36] = 255
    share = predict_box(segmenter, image, box, side)
    assert share.shape == (box.bottom - box.top, box.right - box.left)
    assert share.dtype == np.float32 and share.min() >= 0 and share.max() <= 1
    expected = image[box.slices][..., 0] > 127
    distance = np.abs(np.arange(box.left, box.right) + 0.5 - 36)
    certain = distance >= 80 / side + 0.5  # half a pixel of the crop may be undecided
    assert ((share > 0.5) == expected)[:, certain].all()


def test_a_crop_at_its_own_size_is_predicted_to_the_pixel(segmenter):
    random = np.random.default_rng(0)
    image = np.where(random.random(SIZE) > 0.5, 255, 0).astype(np.uint8)
    pixels = np.repeat(image[..., None], 3, axis=2)
    rows, columns = crop_window(BOXES[0], SIZE)
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    share = predict_box(segmenter, pixels, BOXES[0], longer)
    np.testing.assert_array_equal(share > 0.5, image[BOXES[0].slices] == 255)


def test_nothing_to_train_on(model_settings, trainer_settings):
    with pytest.raises(InputError, match="training set"):
        batches([], model_settings, trainer_settings)
