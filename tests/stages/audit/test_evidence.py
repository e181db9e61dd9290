"""Evidence of regions, compared with closed forms of their scores."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.audited import OBJECT, SURE, box, painted, sample_of, scores_of

from wsseg.data.annotation import Box, Boxes, MaskFile, Region, Regions, Tags
from wsseg.data.example import example_of
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map
from wsseg.stages.audit.evidence import collect_evidence
from wsseg.stages.audit.regions import significant_regions

REST = (1 - SURE) / 3
LEFT, TOP, RIGHT, BOTTOM = OBJECT


def example(sample, scores):
    return example_of(sample, len(scores), np.zeros((*sample.size, 3), np.uint8))


def collect(label_map, *annotations, **named):
    scores = scores_of(label_map)
    before = scores.copy()
    found = collect_evidence(example(sample_of(*annotations, **named), scores), scores)
    assert np.array_equal(scores, before)
    return found


def of(found, source):
    return [item for item in found if item.source == source]


def test_a_box_that_fits():
    found = collect(painted((2, *OBJECT)), Boxes((box(2, OBJECT),)))
    (boxed,) = of(found, "box")
    assert boxed.means == pytest.approx((REST, REST, SURE, REST), abs=1e-5)
    assert (boxed.share, boxed.predicted_box, boxed.place) == (1.0, OBJECT, OBJECT)
    assert boxed.confidence == pytest.approx(SURE)
    assert boxed.area == 30 * 30 / (60 * 80)
    (background,) = of(found, "background")
    assert background.means[0] == pytest.approx(SURE, abs=1e-5)
    assert background.share == 1.0
    (segment,) = of(found, "segment")
    assert (segment.predicted, segment.share) == (2, 1.0)


def test_a_shifted_box_is_suggested_the_whole_object():
    shifted = (LEFT + 10, TOP + 5, RIGHT + 10, BOTTOM + 5)
    (boxed,) = of(collect(painted((2, *OBJECT)), Boxes((box(2, shifted),))), "box")
    assert boxed.predicted_box == OBJECT
    assert boxed.share == pytest.approx(20 * 25 / (2 * 900 - 20 * 25))
    assert boxed.means[2] == pytest.approx((500 * SURE + 400 * REST) / 900, abs=1e-5)


def test_a_box_next_to_another_of_its_class_does_not_claim_that_one():
    pair = painted((2, 10, 20, 30, 40), (2, 30, 20, 50, 40))
    first, second = (10, 20, 30, 40), (30, 20, 50, 40)
    found = of(collect(pair, Boxes((box(2, first), box(2, second)))), "box")
    assert [(item.share, item.predicted_box) for item in found] == [(1.0, first), (1.0, second)]


def test_only_the_visible_part_of_a_box_counts():
    inner = (25, 20, 35, 30)
    seen = painted((2, *OBJECT), (1, *inner))
    behind, front = of(collect(seen, Boxes((box(2, OBJECT), box(1, inner)))), "box")
    assert behind.means[2] == front.means[1] == pytest.approx(SURE, abs=1e-5)
    assert (behind.covering, front.covering) == ((), (2,))


def test_hidden_boxes_and_crowds_are_no_evidence():
    crowd = Box(2, *OBJECT, crowd=True)
    assert of(collect(painted(), Boxes((crowd,))), "box") == []
    same = collect(painted(), Boxes((box(2, OBJECT), box(1, OBJECT))))
    assert len(of(same, "box")) == 1


def test_a_box_with_nothing_in_it_suggests_none():
    (boxed,) = of(collect(painted(), Boxes((box(2, OBJECT),))), "box")
    assert (boxed.share, boxed.predicted_box, boxed.confidence, boxed.rle) == (0.0, (), 0.0, "")


def test_a_box_of_one_pixel_is_measured():
    (boxed,) = of(collect(painted((2, *OBJECT)), Boxes((box(2, (30, 30, 31, 31)),))), "box")
    assert boxed.means[2] == pytest.approx(SURE, abs=1e-5)
    assert boxed.predicted_box == ()  # of the object, hardly anything is in the box


def test_what_nothing_allows_is_a_segment_of_its_own():
    found = collect(painted((2, *OBJECT), (3, 60, 5, 78, 25)), Boxes((box(2, OBJECT),)))
    allowed, missing = sorted(of(found, "segment"), key=lambda item: item.predicted)
    assert (allowed.share, missing.share, missing.annotated) == (1.0, 0.0, 0)
    assert missing.place == (60, 5, 78, 25)
    assert missing.area == 18 * 20 / (60 * 80)


@pytest.mark.parametrize(("width", "height", "count"), [(6, 150, 0), (8, 150, 1), (11, 12, 0)])
def test_specks_and_edges_are_not_believed(width, height, count):
    label_map = painted((3, 60, 5, 60 + width, 5 + height), size=(213, 320))
    found = [region for region in significant_regions(label_map) if region.label]
    assert len(found) == count


def test_a_tag_is_judged_by_its_likeliest_pixels():
    found = collect(painted((2, *OBJECT)), Tags((1, 2)))
    there, absent = sorted(of(found, "tag"), key=lambda item: -item.means[item.annotated])
    assert (there.annotated, absent.annotated) == (2, 1)
    assert there.means[2] == pytest.approx(SURE, abs=1e-5)
    assert absent.means[1] == pytest.approx(REST, abs=1e-5)


def test_a_tag_that_is_drawn_as_well_is_judged_by_what_is_drawn():
    found = collect(painted((2, *OBJECT)), Tags((2,)), Boxes((box(2, OBJECT),)))
    assert of(found, "tag") == []


def test_unsure_tags_allow_their_class():
    (segment,) = of(collect(painted((2, *OBJECT)), Tags((), unsure=(2,))), "segment")
    assert segment.share == 1.0


def test_parts_of_a_mask_that_look_otherwise(tmp_path):
    given = painted((1, *OBJECT))
    given[:, 70:] = IGNORE
    given[TOP:BOTTOM, RIGHT : RIGHT + 2] = IGNORE
    seen = painted((1, *OBJECT), (2, 25, 20, 35, 40), (3, 2, 2, 12, 12), (1, 55, 40, 69, 55))
    write_label_map(tmp_path / "a.png", given)
    found = collect(seen, MaskFile(tmp_path / "a.png"))
    parts = {item.place: item for item in of(found, "part")}
    assert set(parts) == {(25, 20, 35, 40), (2, 2, 12, 12), (55, 40, 69, 55)}
    inner = parts[25, 20, 35, 40]
    assert (inner.annotated, inner.predicted, inner.touches) == (1, 2, False)
    assert inner.area == 200 / given.size
    assert inner.means == pytest.approx((REST, REST, SURE, REST), abs=1e-5)
    assert not parts[2, 2, 12, 12].touches
    assert parts[55, 40, 69, 55].touches
    whole = {item.annotated: item for item in of(found, "mask")}
    assert whole[1].means[1] == pytest.approx((700 * SURE + 200 * REST) / 900, abs=1e-5)
    assert of(found, "segment") == of(found, "tag") == []


def test_regions_of_a_partial_mask_leave_the_rest_open():
    polygon = (20.0, 15.0, 50.0, 15.0, 50.0, 45.0, 20.0, 45.0)
    marks = Regions((Region(1, (polygon,)),), partial=True)
    found = collect(painted((2, *OBJECT), (3, 60, 5, 78, 25)), marks)
    (part,) = of(found, "part")
    assert (part.annotated, part.predicted) == (1, 2)
    assert {item.predicted for item in of(found, "segment") if item.share == 0} == {2, 3}


def test_a_stroke_is_judged_by_its_pixels():
    stroke = Scribble(1, ((25.0, 30.0), (45.0, 30.0)), width=3)
    (found,) = of(collect(painted((2, *OBJECT)), Strokes((stroke,))), "stroke")
    assert found.means == pytest.approx((REST, REST, SURE, REST), abs=1e-5)


def test_open_strokes_allow_every_class():
    stroke = Scribble(1, ((5.0, 5.0),), width=3)
    found = collect(painted((2, *OBJECT)), Strokes((stroke,), closed=False))
    assert [item.share for item in of(found, "segment")] == [1.0]


def test_nothing_given_is_nothing_to_doubt():
    assert collect(painted((2, *OBJECT))) == []


def test_a_mask_of_another_size_is_an_error(tmp_path):
    write_label_map(tmp_path / "a.png", np.zeros((3, 4), np.uint8))
    with pytest.raises(InputError, match="of the image's size"):
        collect(painted(), MaskFile(tmp_path / "a.png"))


def test_an_image_of_one_pixel():
    scores = np.ones((2, 1, 1), np.float32) / 2
    sample = replace(sample_of(Boxes((box(1, (0, 0, 1, 1)),))), size=(1, 1))
    found = collect_evidence(example(sample, scores), scores)
    assert {item.source for item in found} == {"background", "box"}
