from types import SimpleNamespace

import pytest
from helpers.builders import TINY

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.networks.losses.registry import DENSE_LOSSES, SPARSE_LOSSES
from wsseg.runs.config import config_from_values
from wsseg.runs.stats import write_stats
from wsseg.stages.labelled import check_objects, with_losses


@pytest.fixture
def losses_for(tmp_path):
    """Return the losses for images, given the number of pixels of each label."""

    def losses(*images, loss=None):
        rows = [
            {"id": f"{number}", "class": label, "pixels": pixels}
            for number, counts in enumerate(images)
            for label, pixels in counts.items()
        ]
        write_stats(tmp_path, lambda: [rows])
        values = {**TINY, "run_dir": "runs/a", "data": {"root": "a"}, "trainer": {"loss": loss}}
        labels = SimpleNamespace(path=tmp_path, name="seeds")
        return with_losses(config_from_values(values, "a.yaml"), labels).trainer.loss

    return losses


def test_dense_label_maps_may_leave_a_tenth_of_the_pixels_open(losses_for):
    assert losses_for({0: 70, 1: 20, IGNORE: 10}) == DENSE_LOSSES
    assert losses_for({0: 70, 1: 19, IGNORE: 11}) == SPARSE_LOSSES


def test_images_of_all_sizes_count_together(losses_for):
    assert losses_for({0: 1000, 1: 1}, {1: 2, IGNORE: 98}) == DENSE_LOSSES
    assert losses_for({0: 100, 1: 1}, {1: 2, IGNORE: 980}) == SPARSE_LOSSES


def test_images_without_any_label_are_not_trained_on_and_do_not_count(losses_for):
    assert losses_for({0: 90, 1: 10}, {IGNORE: 1000}, {1: 0, IGNORE: 500}) == DENSE_LOSSES
    assert losses_for({1: 5, IGNORE: 95}, {IGNORE: 1000}) == SPARSE_LOSSES


def test_losses_that_are_set_stay(losses_for):
    assert losses_for({1: 5, IGNORE: 95}, loss={"focal": 2}) == {"focal": 2}


def test_only_the_given_images_have_to_show_an_object(tmp_path):
    counts = [("a", 0, 30), ("a", IGNORE, 10), ("b", 1, 5), ("c", IGNORE, 40), ("a", 1, 0)]
    rows = [dict(zip(("id", "class", "pixels"), row, strict=True)) for row in counts]
    write_stats(tmp_path, lambda: [rows])
    labels = SimpleNamespace(path=tmp_path, name="seeds")
    a, b, c = (SimpleNamespace(id=id) for id in "abc")
    check_objects(labels, [a, b, c], "look")
    for samples, got in (([a], "75% background and 25% IGNORE"), ([c], "only IGNORE")):
        with pytest.raises(InputError, match=f"as an object in some pixel, got {got}; look"):
            check_objects(labels, samples, "look")
