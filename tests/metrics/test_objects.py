import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytest import approx
from scipy import ndimage

from wsseg.labelmaps import IGNORE
from wsseg.metrics.objects import ObjectCounts, iou_by_size, object_counts
from wsseg.metrics.segmentation import confusion_matrix

LABEL_MAPS = arrays.arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 0, 1, 2, IGNORE]))


def test_two_objects_share_what_was_predicted_by_nearness():
    truth = np.zeros((6, 20), np.uint8)
    truth[2:4, 2:6] = truth[2:4, 12:20] = 1
    prediction = np.zeros_like(truth)
    prediction[2:4, 4:8] = prediction[2:4, 12:16] = 1
    left, right = object_counts(prediction, truth, 2)
    assert left == ObjectCounts(1, 8, 4, 8, 8 / 120, is_cut=False)
    assert right == ObjectCounts(1, 16, 8, 8, 16 / 120, is_cut=True)
    assert (left.iou, right.iou) == approx((4 / 12, 8 / 16))


@settings(max_examples=60, deadline=None)
@given(LABEL_MAPS, LABEL_MAPS)
def test_objects_add_up_to_the_image(prediction, truth):
    found = object_counts(prediction, truth, 3)
    matrix = confusion_matrix(prediction, truth, 3)
    for label in (1, 2):
        of_class = [each for each in found if each.label == label]
        assert len(of_class) == ndimage.label(truth == label, np.ones((3, 3)))[1]
        assert sum(each.true for each in of_class) == matrix[label].sum()
        assert sum(each.hits for each in of_class) == matrix[label, label]
        if of_class:
            assert sum(each.predicted for each in of_class) == matrix[:, label].sum()


@settings(max_examples=30, deadline=None)
@given(LABEL_MAPS)
def test_what_is_cut_touches_the_frame(truth):
    for label in (1, 2):
        regions, count = ndimage.label(truth == label, np.ones((3, 3)))
        inner = {*regions[1:-1, 1:-1].ravel().tolist()} - {0}
        outer = {*regions[[0, -1]].ravel().tolist(), *regions[:, [0, -1]].ravel().tolist()} - {0}
        found = [each for each in object_counts(truth, truth, 3) if each.label == label]
        assert sum(each.is_cut for each in found) == len(outer)
        assert len(found) == count == len(inner | outer)


def test_means_by_size():
    found = [
        ObjectCounts(1, 10, 10, 10, 0.005, is_cut=False),
        ObjectCounts(1, 10, 5, 5, 0.01, is_cut=True),
        ObjectCounts(2, 10, 0, 0, 0.5, is_cut=True),
    ]
    expected = {"small": (0.75, 2), "large": (0, 1), "whole": (1, 1), "cut": (0.25, 2)}
    assert iou_by_size(found) == expected
    assert iou_by_size([]) == {}
