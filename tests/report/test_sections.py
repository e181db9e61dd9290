"""What the parts of a report say, from a summary."""

import numpy as np
import pytest
from helpers.counted import CLASSES, measured

from wsseg.labelmaps import IGNORE
from wsseg.report.charts import confusion_map, signal_curves
from wsseg.report.class_section import class_content, title
from wsseg.report.figures import truth_figures
from wsseg.report.stage_section import change, stage_content

TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
LABELS = np.array([[0, 0, 1, 0], [0, 0, 1, IGNORE]], np.uint8)


def summary():
    found = truth_figures(measured([(LABELS, TRUTH)] * 3))
    stages = [{"name": "seeds", "seconds": 2.0, "label_miou": 0.5}]
    return {"classes": [*CLASSES], "stages": stages, "measured": {"round-1/val": found}}


def test_figures_of_each_class_by_hand():
    cow = truth_figures(measured([(LABELS, TRUTH)] * 3))["classes"]["cow"]
    assert (cow["iou"], cow["precision"], cow["recall"]) == (0.5, 1.0, 0.5)
    assert "calibration_error" not in summary()["measured"]["round-1/val"]


def test_the_confusion_is_of_the_true_class():
    content = class_content(summary())
    assert content["confusions"] == {
        "validation of round-1": [[100, 0, 0, 0], [25, 50, 0, 25], [None] * 4]
    }
    (part,) = content["measured"]
    assert [row["name"] for row in part["rows"]] == [*CLASSES]
    assert part["rows"][2]["shares"] == [None] * 4


def test_a_summary_without_truth_has_no_classes_in_detail():
    content = class_content({**summary(), "measured": {}})
    assert content["measured"] == [] and content["confusion"] is None


def test_titles():
    assert title("seeds") == "labels of seeds"
    assert title("round-2/val") == "validation of round-2"


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (None, "\u2013"),
        ([0.02, 0.01, 0.03], "+2.0 (+1.0 to +3.0)"),
        ([-0.02, -0.03, -0.01], "-2.0 (-3.0 to -1.0)"),
        ([-0.0001, -0.01, 0.01], "+0.0, noise"),
    ],
)
def test_a_change_of_noise_is_called_noise(difference, expected):
    assert change(difference) == expected


def test_verdicts_are_said_in_words():
    verdict = {
        "stage": "round-2",
        "agreement": 0.618,
        "gain": [-0.1, -0.12, -0.08],
        "churn": 0.1,
        "vanished": 0.0,
        "worse": True,
        "word": "labels get worse",
        "reason": "they agree less",
    }
    (said,) = stage_content({**summary(), "verdicts": [verdict]})["verdicts"]
    assert said["said"] == "labels get worse: they agree less"
    assert (said["agreement"], said["gain"]) == ("61.8", "-10.0 (-12.0 to -8.0)")


def test_signals_are_drawn_where_they_are_known():
    stages = [
        {"name": "seeds", "signals": {"fill": 0.5, "pieces": 3.0}},
        {"name": "round-1", "signals": {"fill": 0.6, "kept": 0.7}},
        {"name": "finetuned"},
    ]
    lines = {line.name: [*line.y] for line in signal_curves(stages).data}
    assert lines == {"fill": [50, 60], "kept": [None, 70]}


def test_a_confusion_of_many_classes_has_no_text_in_its_cells():
    for count, has_text in ((3, True), (60, False)):
        shares = [[0.0] * (count + 1)] * count
        (drawn,) = confusion_map(shares, [f"class {n}" for n in range(count)]).data
        assert bool(drawn.texttemplate) == has_text
    numbered = confusion_map([[0.0] * 3] * 2, ["0", "10"])
    assert numbered.layout.xaxis.type == numbered.layout.yaxis.type == "category"
    (drawn,) = confusion_map([[None, 97.4, 0.1]], ["<b>"]).data
    assert (drawn.y == ("&lt;b&gt;",) and drawn.text == (("", "97", ""),)) or drawn.text == (
        ["", "97", ""],
    )
