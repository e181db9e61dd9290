import numpy as np
import pytest
from helpers.sam import Scripted, write_tiny_sam

from wsseg.errors import InputError
from wsseg.foundation.params import SamParams
from wsseg.refine.refiners import find_refiner
from wsseg.refine.sam import refine_parts, sam_refine

SIZE = 60, 80
IMAGE = np.zeros((*SIZE, 3), np.uint8)


def rectangle(left, top, right, bottom):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


ROUGH, TRUE = rectangle(22, 12, 55, 45), rectangle(20, 10, 60, 50)


def scores_of(*masks, confidence=0.8):
    """Probabilities (C, H, W) of objects over a background."""
    scores = np.full((len(masks) + 1, *SIZE), 0.1)
    covered = np.zeros(SIZE, bool)
    for channel, mask in enumerate(masks, 1):
        scores[channel][mask] = confidence
        covered |= mask
    scores[0][~covered] = confidence
    return (scores / scores.sum(axis=0)).astype(np.float32)


def answer_with(*masks):
    return Scripted(lambda _prompt, _size: masks, iou=(0.9, 0.5, 0.4)[: len(masks)])


def refine(scores, model, allowed=None):
    return refine_parts(IMAGE, scores, model, allowed)


def test_an_object_takes_the_outline_of_the_best_mask():
    refined = refine(scores_of(ROUGH), answer_with(TRUE, ROUGH, ROUGH))
    assert (refined.argmax(axis=0) == TRUE).all()
    assert np.allclose(refined.sum(axis=0), 1)


def test_a_result_that_is_another_object_is_refused():
    before = scores_of(ROUGH)
    refined = refine(before, answer_with(rectangle(0, 0, 10, 10) | rectangle(50, 40, 60, 50)))
    assert np.allclose(refined, before, atol=1e-6)


def test_an_empty_answer_changes_nothing():
    before = scores_of(ROUGH)
    assert np.allclose(refine(before, answer_with(np.zeros(SIZE, bool))), before, atol=1e-6)


def test_what_is_not_allowed_stays_impossible():
    allowed = np.ones((2, *SIZE), bool)
    allowed[1, :20] = False
    refined = refine(scores_of(ROUGH), answer_with(TRUE), allowed)
    assert (refined[1, :20] == 0).all()
    assert (refined.argmax(axis=0)[20:] == TRUE[20:]).all()


def test_each_part_is_prompted_by_points_a_box_and_its_mask():
    model = answer_with(ROUGH)
    refine(scores_of(ROUGH), model)
    assert len(model.prompts) == 5  # iterations
    prompt = model.prompts[0]
    (x, y) = prompt.points[prompt.positive][0].astype(int)
    assert ROUGH[y, x]
    left, top, right, bottom = prompt.box
    assert (left, top, right, bottom) == pytest.approx((22, 12, 55, 45), abs=10)
    mask = prompt.mask
    assert mask.shape == SIZE
    assert (mask > 0)[20:40, 30:50].all()
    assert (mask < 0)[:8].all()
    assert mask[y, x] == mask.max()


def test_the_box_grows_where_the_surroundings_look_alike():
    # The features of a scripted model are equal everywhere, so that every side grows.
    model = answer_with(ROUGH)
    refine(scores_of(ROUGH), model)
    assert model.prompts[0].box == (22 - 3, 12 - 3, 55 + 3, 45 + 3)


def test_parts_of_a_class_and_classes_are_refined_apart():
    one, other = rectangle(5, 5, 25, 25), rectangle(40, 30, 70, 55)
    model = Scripted(lambda prompt, _size: [one if prompt.box[0] < 30 else other] * 3)
    refined = refine(scores_of(rectangle(7, 7, 25, 25), rectangle(42, 30, 70, 55)), model)
    expected = np.where(one, 1, np.where(other, 2, 0))
    assert (refined.argmax(axis=0) == expected).all()


def test_small_parts_get_no_prompt():
    model = answer_with(TRUE)
    before = scores_of(rectangle(3, 3, 6, 6))
    assert np.allclose(refine(before, model), before, atol=1e-6)
    assert not model.prompts


def test_by_name_with_a_model_on_disk(tmp_path):
    folder = write_tiny_sam(tmp_path, 2)
    image = np.random.default_rng(0).integers(0, 255, IMAGE.shape, dtype=np.uint8)
    before = scores_of(ROUGH)
    kept = before.copy()
    refiner = find_refiner("sam", sam=SamParams(model=str(folder)), device="cpu")
    refined = refiner.refine(image, before)
    assert np.allclose(refined.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(refined, refiner.refine(image, before))
    assert np.array_equal(before, kept)


def test_a_missing_model_and_bad_scores_are_errors():
    with pytest.raises(InputError, match="must be the name of a SAM model"):
        sam_refine(IMAGE, scores_of(ROUGH))
    with pytest.raises(InputError, match="scores"):
        sam_refine(IMAGE, scores_of(ROUGH)[0])
