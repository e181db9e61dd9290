import json

import numpy as np
import pytest
from PIL import Image

from wsseg.data.formats.table import read_dataset
from wsseg.data.truth import read_truth, true_label_map
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map
from wsseg.synthetic.scenes import write_scenes


@pytest.fixture
def scenes(tmp_path):
    """A generated VOC folder of two training images and one validation image."""
    root = tmp_path / "scenes"
    write_scenes(root, train=2, val=1, seed=0)
    return root


def test_truth_is_found_for_samples_read_with_boxes(scenes):
    truth = read_truth(scenes)
    samples = read_dataset(scenes).samples
    assert len(samples) == 3
    for sample in samples:
        expected = read_label_map(scenes / "SegmentationClass" / f"{sample.id}.png")
        assert truth.covers(sample)
        assert (truth.label_map(sample) == expected).all()
        assert (true_label_map(truth.with_mask(sample), len(truth.classes)) == expected).all()


def test_image_without_mask_is_not_covered_and_unknown_everywhere(scenes):
    sample = read_dataset(scenes).split("train")[0]
    (scenes / "SegmentationClass" / f"{sample.id}.png").unlink()
    truth = read_truth(scenes)
    assert not truth.covers(sample)
    assert truth.label_map(sample).shape == sample.size
    assert (truth.label_map(sample) == IGNORE).all()
    assert [truth.covers(s) for s in truth.samples("train")] == [False, True]
    with pytest.raises(InputError, match="must be a mask, got none"):
        truth.with_mask(sample)


def test_image_of_a_split_that_was_not_read_is_not_covered(scenes):
    truth = read_truth(scenes, splits=["val"])
    train, val = (read_dataset(scenes).split(name) for name in ("train", "val"))
    assert [truth.covers(sample) for sample in (*train, *val)] == [False, False, True]
    with pytest.raises(InputError, match="known: val"):
        truth.samples("train")


def test_mask_that_does_not_fit_is_refused_when_it_is_read(scenes):
    sample = read_dataset(scenes).split("val")[0]
    write_label_map(scenes / "SegmentationClass" / f"{sample.id}.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match="image's size"):
        read_truth(scenes).label_map(sample)


def test_boxes_are_no_truth(scenes):
    sample = read_dataset(scenes).samples[0]
    with pytest.raises(TypeError, match="no mask"):
        true_label_map(sample, 6)


def test_real_truth_covers_all_and_leaves_a_share_unknown(shared_data):
    truth = read_truth(shared_data / "msrc15", splits=["val"])
    samples = truth.samples("val")
    assert all(truth.covers(sample) for sample in samples)
    maps = [truth.label_map(sample) for sample in samples[:20]]
    unknown = np.mean([np.mean(label_map == IGNORE) for label_map in maps])
    assert 0.05 < unknown < 0.4


def test_images_without_objects_are_no_truth_where_only_boxes_were_drawn(tmp_path):
    (tmp_path / "annotations").mkdir()
    image = {"file_name": "a.png", "height": 4, "width": 6}
    drawn = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "iscrowd": 0}
    content = {
        "categories": [{"id": 1, "name": "cow"}],
        "images": [{**image, "id": 1}, {**image, "id": 2, "file_name": "b.png"}],
        "annotations": [drawn],
    }
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(content))
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (6, 4)).save(tmp_path / "images" / name)
    truth = read_truth(tmp_path)
    assert [truth.covers(sample) for sample in truth.samples("train")] == [False, False]
    drawn["segmentation"] = [[0, 0, 2, 0, 2, 2]]
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(content))
    truth = read_truth(tmp_path)
    assert [truth.covers(sample) for sample in truth.samples("train")] == [True, True]
