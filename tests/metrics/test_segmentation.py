import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import jaccard_score, precision_score, recall_score

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.metrics.segmentation import SegmentationQuality, confusion_matrix, evaluate

NAMES = ("background", "cow", "sheep", "unicorn")
LABEL_MAPS = arrays.arrays(np.uint8, (3, 4), elements=st.sampled_from([0, 1, 2, IGNORE]))


def labels(*rows):
    return np.array(rows, np.uint8)


TRUTH = labels([0, 0, 0, 1], [0, 1, 1, 1], [2, 2, IGNORE, IGNORE])
PREDICTION = labels([0, 0, 1, 1], [0, 1, IGNORE, 0], [2, IGNORE, 2, IGNORE])


def golden():
    return SegmentationQuality(confusion_matrix(PREDICTION, TRUTH, 4), NAMES)


def test_hand_counted_matrix():
    expected = [[3, 1, 0, 0, 0], [1, 2, 0, 0, 1], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    matrix = confusion_matrix(PREDICTION, TRUTH, 4)
    assert matrix.tolist() == expected and matrix.dtype == np.int64


def test_hand_computed_quality():
    quality = golden()
    assert quality.per_class == {"background": 3 / 5, "cow": 2 / 5, "sheep": 1 / 2}
    assert quality.miou == pytest.approx(0.5)
    assert quality.per_class_covered == {"background": 3 / 5, "cow": 2 / 4, "sheep": 1}
    assert quality.miou_covered == pytest.approx(0.7)
    assert quality.precision == {"background": 3 / 4, "cow": 2 / 3, "sheep": 1}
    assert quality.recall == {"background": 3 / 4, "cow": 2 / 4, "sheep": 1 / 2}
    assert quality.pixel_accuracy == pytest.approx(6 / 10)
    assert quality.coverage == pytest.approx(8 / 10)


def test_class_only_predicted_counts_as_0():
    quality = SegmentationQuality(confusion_matrix(labels([0, 3]), labels([0, 0]), 4), NAMES)
    assert quality.per_class == {"background": 0.5, "unicorn": 0}
    assert quality.recall == {"background": 0.5}
    assert quality.precision == {"background": 1, "unicorn": 0}


def test_prediction_all_ignore():
    matrix = confusion_matrix(np.full_like(TRUTH, IGNORE), TRUTH, 4)
    quality = SegmentationQuality(matrix, NAMES)
    assert quality.miou == 0 and quality.coverage == 0 and quality.pixel_accuracy == 0
    assert quality.miou_covered is None and quality.per_class_covered == {}


def test_what_stands_under_ignored_truth_counts_nowhere():
    changed = PREDICTION.copy()
    changed[TRUTH == IGNORE] = 3
    expected = confusion_matrix(PREDICTION, TRUTH, 4)
    np.testing.assert_array_equal(confusion_matrix(changed, TRUTH, 4), expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(LABEL_MAPS, LABEL_MAPS), min_size=1, max_size=4))
def test_matrices_add_over_images(
    pairs,
):
    together = [np.vstack(label_maps) for label_maps in zip(*pairs, strict=True)]
    total = sum(confusion_matrix(*pair, 3) for pair in pairs)
    np.testing.assert_array_equal(total, confusion_matrix(*together, 3))
    assert np.sum(total) == np.sum(together[1] != IGNORE)


@settings(max_examples=50, deadline=None)
@given(LABEL_MAPS, LABEL_MAPS)
def test_figures_are_shares(prediction, truth):
    truth[0, 0] = 1
    quality = SegmentationQuality(confusion_matrix(prediction, truth, 3), NAMES[:3])
    assert 0 <= quality.miou <= 1 and 0 <= quality.pixel_accuracy <= quality.coverage <= 1
    assert all(0 <= share <= 1 for share in quality.per_class.values())
    for name, share in quality.per_class.items():
        assert share <= quality.per_class_covered.get(name, 1)


@settings(max_examples=30, deadline=None)
@given(LABEL_MAPS, st.permutations([0, 1, 2]))
def test_order_of_classes_does_not_matter(truth, order):
    truth[0, 0] = 0
    prediction = np.roll(truth, 1, axis=1)
    renamed = np.array([*order, *range(3, 256)], np.uint8)
    quality = SegmentationQuality(confusion_matrix(prediction, truth, 3), NAMES[:3])
    matrix = confusion_matrix(renamed[prediction], renamed[truth], 3)
    names = tuple(NAMES[order.index(label)] for label in range(3))
    assert SegmentationQuality(matrix, names).per_class == quality.per_class


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, (40, 50)).astype(np.uint8)
    noise = rng.integers(0, 5, truth.shape).astype(np.uint8)
    prediction = np.where(rng.random(truth.shape) < 0.6, truth, noise)
    truth[:5] = IGNORE
    quality = SegmentationQuality(confusion_matrix(prediction, truth, 5), tuple("abcde"))
    known = truth != IGNORE
    for score, ours in (
        (jaccard_score, quality.per_class),
        (precision_score, quality.precision),
        (recall_score, quality.recall),
    ):
        theirs = score(truth[known], prediction[known], average=None)
        np.testing.assert_allclose(list(ours.values()), theirs)
    macro = jaccard_score(truth[known], prediction[known], average="macro")
    assert quality.miou == pytest.approx(macro)
    assert quality.miou == quality.miou_covered


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (labels([0, 1]), labels([0], [1]), r"prediction must be of size \(2, 1\), got \(1, 2\)"),
        (labels([0, 4]), labels([0, 1]), "prediction must be made of labels 0 to 3 .* label 4"),
        (labels([0, 1]), labels([0, 254]), "truth must be made of labels 0 to 3 .* label 254"),
        (np.array([[0, -1]]), labels([0, 1]), "prediction must be uint8 labels, got int64"),
    ],
)
def test_wrong_label_maps(prediction, truth, message):
    with pytest.raises(InputError, match=message):
        confusion_matrix(prediction, truth, 4)


def test_wrong_matrices():
    with pytest.raises(InputError, match=r"of shape \(4, 5\), got \(3, 4\)"):
        SegmentationQuality(np.ones((3, 4), np.int64), NAMES)
    with pytest.raises(InputError, match="truth has no labelled pixel"):
        SegmentationQuality(np.zeros((4, 5), np.int64), NAMES)


ONE, OTHER = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 1, IGNORE]], np.uint8)


def test_label_maps_are_evaluated_by_image_id_or_in_order():
    by_id = evaluate({"b": OTHER, "a": ONE, "c": OTHER}, {"a": ONE, "b": ONE}, ["x", "y"])
    in_order = evaluate(iter([ONE, OTHER]), iter([ONE, ONE]), ["x", "y"])
    assert by_id.matrix.tolist() == in_order.matrix.tolist() == [[3, 1, 0], [0, 3, 1]]
    assert by_id.images.ids == ("a", "b") and in_order.images.ids == ("0", "1")
    assert evaluate(OTHER, ONE, ["x", "y"]).per_class == {"x": 0.5, "y": pytest.approx(1 / 3)}


def test_images_without_a_true_class_do_not_count():
    nothing = np.full((1, 4), IGNORE, np.uint8)
    assert evaluate([ONE, ONE], [ONE, nothing], ["x", "y"]).images.ids == ("0",)
    with pytest.raises(InputError, match="truth has no labelled pixel"):
        evaluate([ONE], [nothing], ["x", "y"])


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([ONE], [ONE, ONE], "differ in length"),
        ([ONE, ONE], [ONE], "differ in length"),
        ({"a": ONE}, [ONE], "Only one of predicted and truth is a mapping"),
        ({"a": ONE}, {"b": ONE}, "no prediction of image b"),
        ([ONE], [np.array([[7, 0, 0, 0]], np.uint8)], "label 7"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(predicted, truth, message):
    with pytest.raises(InputError, match=message):
        evaluate(predicted, truth, ["x", "y"])
