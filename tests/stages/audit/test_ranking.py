"""Scores against their closed form, and findings in their order."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.audited import CLASSES, OBJECT, SIZE

from wsseg.stages.audit.confidence import Confidence, Reliability, RunningMean
from wsseg.stages.audit.ranking import rank
from wsseg.stages.audit.regions import Evidence

FULL = (0, 0, SIZE[1], SIZE[0])


def item(source, annotated, means, **more):
    about = {"id": "a", "size": SIZE, "predicted": annotated, "place": OBJECT, "area": 0.2}
    return Evidence(**{"source": source, "annotated": annotated, "means": means, **about, **more})


def right_boxes(count=40):
    """Boxes of class 2 that the network sees with 0.8 and fits with an IoU of 0.75."""
    means, fit = (0.2, 0.0, 0.8, 0.0), {"share": 0.75, "predicted_box": OBJECT, "confidence": 0.9}
    return [item("box", 2, means, id=f"right-{n}", **fit) for n in range(count)]


BACKGROUND = item("background", 0, (0.9, 0.05, 0.05, 0.0), id="sky", share=1.0, place=FULL)


def only(evidence, id="a"):
    (found,) = [finding for finding in rank(evidence, CLASSES) if finding.id == id]
    return found


def test_thresholds_are_mean_self_confidences_and_the_mean_of_all_counts_once():
    boxes = [item("box", 1, (0, p, 0, 0)) for p in (0.2, 0.4)] + [item("box", 2, (0, 0, 0.9, 0))]
    confidence = Confidence.measure(boxes)
    overall = (0.2 + 0.4 + 0.9) / 3
    assert confidence.of("box", 1) == pytest.approx((0.6 + overall) / 3)
    assert confidence.of("box", 2) == pytest.approx((0.9 + overall) / 2)
    assert confidence.of("box", 3) == pytest.approx(overall)
    assert confidence.of("tag", 1) == 1.0


def test_background_that_was_given_goes_before_what_only_looks_like_it():
    seen = item("background", 0, (0.6, 0.4, 0, 0), share=0.0)
    assert Confidence.measure([seen]).of("background", 0) == pytest.approx(0.6)
    assert Confidence.measure([seen, BACKGROUND]).of("background", 0) == pytest.approx(0.9)


def test_score_of_a_mixed_up_box():
    boxes = right_boxes()
    wrong = item("box", 1, (0.1, 0.09, 0.7, 0.11), share=0.0)
    evidence = [*boxes, wrong, BACKGROUND]
    overall = (40 * 0.8 + 0.09) / 41
    usual_1, usual_2 = (0.09 + overall) / 2, (40 * 0.8 + overall) / 41
    reliable = Reliability(evidence, Confidence.measure(evidence)).boxes.at(0.2)
    found = only(evidence)
    assert (found.kind, found.annotated, found.suggested) == ("mixed-up class", 1, 2)
    assert found.score == pytest.approx((0.7 / usual_2) * (1 - 0.09 / usual_1) * reliable)
    assert found.suggestion == OBJECT
    assert "<b>sheep</b> (70 %)" in found.sentence


def test_score_of_a_box_with_nothing_in_it():
    wrong = item("box", 2, (0.85, 0.05, 0.04, 0.06))
    evidence = [*right_boxes(), wrong, BACKGROUND]
    usual = Confidence.measure(evidence).of("box", 2)
    reliable = Reliability(evidence, Confidence.measure(evidence)).boxes.at(0.2)
    found = only(evidence)
    assert (found.kind, found.suggested, found.suggestion) == ("no such object", None, None)
    assert found.score == pytest.approx((0.85 / 0.9) * (1 - 0.04 / usual) * reliable)


def test_a_box_on_another_given_object_is_no_mix_up():
    wrong = item("box", 1, (0.1, 0.0, 0.9, 0.0), covering=(2,))
    assert only([*right_boxes(), wrong, BACKGROUND]).kind == "no such object"


def test_score_of_a_box_that_fits_badly():
    moved = item(
        "box", 2, (0.2, 0.0, 0.8, 0.0), share=0.4, predicted_box=(0, 0, 30, 30), confidence=0.9
    )
    segments = [item("segment", 2, (0.1, 0.0, 0.9, 0.0), id="s", share=1.0)]
    evidence = [*right_boxes(), moved, BACKGROUND, *segments]
    confidence = Confidence.measure(evidence)
    usual = confidence.of("fit", 2)
    misfit = 1 - (0.4 / 0.6) / (usual / (1 - usual))
    found = only(evidence)
    assert (found.kind, found.suggestion) == ("box fits badly", (0, 0, 30, 30))
    reliable = Reliability(evidence, confidence).fits.at(0.2)
    assert found.score == pytest.approx(misfit * reliable)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.75, 1.0), (1.0, 1.0), (0.6, 0.5)])
def test_support_of_a_fit_is_a_ratio_of_odds(share, expected):
    usual = Confidence.measure([item("box", 2, (0, 0, 1, 0), share=0.75)])
    assert usual.fit_support(item("box", 2, (0, 0, 1, 0), share=share)) == pytest.approx(expected)


def test_support_of_a_fit_where_all_boxes_are_perfect():
    usual = Confidence.measure([item("box", 2, (0, 0, 1, 0), share=1.0)])
    assert usual.fit_support(item("box", 2, (0, 0, 1, 0), share=1.0)) == 1.0
    assert usual.fit_support(item("box", 2, (0, 0, 1, 0), share=0.9)) == 0.0


def test_score_of_a_missing_object():
    allowed = [
        item("segment", 2, (0.1, 0, 0.9, 0), id=f"right-{n}", share=1.0, predicted=2)
        for n in range(40)
    ]
    missing = item("segment", 0, (0.18, 0.0, 0.72, 0.1), predicted=2, rle="x")
    evidence = [*allowed, missing, BACKGROUND]
    found = only(evidence)
    assert (found.kind, found.source, found.annotated, found.suggested) == (
        *("missing object", "image", 0),
        2,
    )
    reliable = Reliability(evidence, Confidence.measure(evidence)).segments.at(0.2)
    assert found.score == pytest.approx((0.72 / 0.9) * (1 - 0.18 / 0.9) * reliable)


def test_small_things_that_are_often_missed_weigh_less():
    small = [replace(b, area=0.001, means=(1.0, 0.0, 0.0, 0.0)) for b in right_boxes(31)]
    absent = (0.9, 0.0, 0.0, 0.1)
    wrong = item("box", 2, absent), item("box", 2, absent, id="b", area=0.001)
    found = rank([*right_boxes(60), *small, *wrong, BACKGROUND], CLASSES)
    scores = {finding.id: finding.score for finding in found}
    assert scores["a"] > 0.85
    assert scores.get("b", 0) < 0.1


def test_a_size_is_judged_by_the_31_around_it_or_all():
    by_size = RunningMean((value, value) for value in range(100))
    assert by_size.at(50) == pytest.approx(np.mean(range(35, 66)))
    assert by_size.at(-1) == pytest.approx(np.mean(range(31)))
    assert by_size.at(1000) == pytest.approx(np.mean(range(69, 100)))
    assert RunningMean([(0, 1), (1, 2)]).at(5) == 1.5
    assert RunningMean([]).at(5) == 1.0


def test_a_segment_that_a_doubted_box_explains_is_not_missing_as_well():
    wrong = item("box", 1, (0.1, 0.0, 0.9, 0.0))
    same = item("segment", 0, (0.1, 0.0, 0.9, 0.0), predicted=2)
    elsewhere = replace(same, place=(60, 5, 78, 25))
    allowed = [replace(same, id=f"right-{n}", share=1.0) for n in range(40)]
    found = rank([*right_boxes(), wrong, same, elsewhere, BACKGROUND, *allowed], CLASSES)
    kinds = {(finding.kind, finding.place) for finding in found if finding.id == "a"}
    assert kinds == {("mixed-up class", OBJECT), ("missing object", (60, 5, 78, 25))}


@pytest.mark.parametrize(
    ("annotated", "predicted", "touches", "kind"),
    [
        (1, 2, False, "mixed-up class"),
        (1, 0, False, "no such object"),
        (0, 2, False, "missing object"),
        (0, 2, True, "unlabelled part"),
    ],
)
def test_kinds_of_parts_of_a_mask(annotated, predicted, touches, kind):
    means = [0.0, 0.0, 0.0, 0.1]
    means[predicted], means[annotated] = 0.8, 0.1
    whole = [item("mask", c, (0.9,) * 4, id="m") for c in range(3)]
    part = item("part", annotated, tuple(means), predicted=predicted, touches=touches)
    found = only([*whole, part, BACKGROUND])  # all regions are seen as usual: reliability is 1
    assert (found.kind, found.source, found.suggested) == (kind, "mask", predicted or None)
    assert found.score == pytest.approx((0.8 / 0.9) * (1 - 0.1 / 0.9))


def test_kinds_of_strokes():
    right = [item("stroke", c, (0.9,) * 4, id="m") for c in range(3)]
    usual = Confidence.measure(right).of("stroke", 1)
    mixed = item("stroke", 1, (0.1, 0.1, 0.8, 0.0))
    found = only([*right, mixed, BACKGROUND])
    assert (found.kind, found.suggested, found.source) == ("mixed-up class", 2, "stroke")
    assert found.score < 0.8 / usual
    on_background = item("stroke", 1, (0.9, 0.1, 0.0, 0.0))
    assert only([*right, on_background, BACKGROUND]).kind == "no such object"
    on_object = item("stroke", 0, (0.1, 0.1, 0.8, 0.0))
    assert only([*right, on_object, BACKGROUND]).suggested == 2


def test_score_of_a_tag():
    right = [item("tag", 2, (0, 0, 0.9, 0), id=f"t{n}") for n in range(5)]
    absent = item("tag", 2, (0.8, 0, 0.1, 0.1), place=FULL)
    usual = Confidence.measure([*right, absent]).of("tag", 2)
    found = only([*right, absent, BACKGROUND])
    assert (found.kind, found.source) == ("no such object", "tag")
    assert found.score == pytest.approx(0.9 * (1 - 0.1 / usual))
    assert "tagged <b>sheep</b>" in found.sentence


def test_the_worst_is_first_and_the_least_is_kept_out():
    wrong = [
        item("box", 2, (1 - p, 0.0, p, 0.0), id=f"w{n}") for n, p in enumerate((0.3, 0.0, 0.15))
    ]
    evidence = [*right_boxes(), *wrong, BACKGROUND]
    found = rank(evidence, CLASSES)
    assert [finding.id for finding in found] == ["w1", "w2", "w0"]
    assert all(0 < finding.score <= 1 for finding in found)
    kept = rank(evidence, CLASSES, min_score=found[1].score)
    assert [finding.id for finding in kept] == ["w1", "w2"]
    assert rank(evidence[::-1], CLASSES) == found


def test_where_all_is_right_nothing_is_found():
    assert rank([*right_boxes(), BACKGROUND], CLASSES) == []
    assert rank([], CLASSES) == []
