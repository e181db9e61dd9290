"""Charts: where marks lie, what they say, and that names stay text."""

from xml.etree import ElementTree

import pytest

from wsseg.metrics.calibration import ReliabilityBin
from wsseg.report.charts import SERIES, Chart, category_axis, linear_axis, log_axis
from wsseg.report.comparison_page import run_curves
from wsseg.report.run_charts import (
    confusion_map,
    coverage_lines,
    reliability_bars,
    signal_curves,
    stage_bars,
    threshold_curves,
    truth_curves,
)
from wsseg.report.summary import StageStats, Summary

STAGES = [
    StageStats(name="seeds", label_miou=0.525, coverage=0.8, seconds=3.0),
    StageStats(name="round-1", label_miou=0.7, resets=8, val_miou=0.5, seconds=9.5),
    StageStats(name="round-2", label_miou=0.65, resets=0, val_miou=0.6, seconds=9.0),
]


class Drawn:
    """The content of a chart as an XML parser reads it."""

    def __init__(self, html):
        root = ElementTree.fromstring(str(html))
        self.id = root.get("id")
        self.svg = root.find("svg")
        self.legend = [item.text or item[0].tail for item in root.iter("li")]
        self.texts = [(t.text or t[0].tail, t) for t in self.svg.iter("text")]

    def titles(self, tag):
        return [m.find("title").text for m in self.svg.iter(tag) if m.find("title") is not None]

    def lines(self):
        """Points of each polyline, by colour."""
        return {
            line.get("stroke"): [
                tuple(map(float, point.split(","))) for point in line.get("points").split()
            ]
            for line in self.svg.iter("polyline")
        }

    def place(self, label):
        (text,) = (t for label_text, t in self.texts if label_text == label)
        return float(text.get("x")), float(text.get("y"))


def test_values_lie_at_their_ticks():
    chart = Chart("c", category_axis(["a", "b", "c"]), linear_axis([0, 100], "%"))
    chart.line([(0, 0), (1, 50), (2, 100)], "line")
    drawn = Drawn(chart.html())
    (points,) = drawn.lines().values()
    for (x, y), name, value in zip(points, "abc", (0, 50, 100), strict=True):
        label = "100" if value == 100 else str(value)
        assert x == pytest.approx(drawn.place(name)[0], abs=0.11)
        if value in (0, 100):
            assert y == pytest.approx(drawn.place(label)[1] - 4, abs=0.11)
    assert points[1][1] == pytest.approx((points[0][1] + points[2][1]) / 2, abs=0.11)
    assert drawn.titles("path") == ["line: 0.0", "line: 50.0", "line: 100.0"]
    assert drawn.legend == ["line"] and drawn.id == "c"


def test_a_bar_spans_its_corners():
    chart = Chart("c", linear_axis([0, 10]), linear_axis([0, 10]), width=300, height=100)
    chart.bar((2, 0), (4, 5), "two to four")
    bar = next(Drawn(chart.html()).svg.iter("rect"))
    assert float(bar.get("height")) == pytest.approx(50)
    assert float(bar.get("y")) == pytest.approx(chart.at(0, 5)[1], abs=0.1)
    assert float(bar.get("width")) == pytest.approx(0.2 * chart.inner, abs=0.1)
    assert float(bar.get("x")) == pytest.approx(chart.left + 0.2 * chart.inner, abs=0.1)


def test_a_downward_axis_starts_at_the_top():
    chart = Chart("c", linear_axis([0, 1]), category_axis(["first", "second"]), is_downward=True)
    drawn = Drawn(chart.html())
    assert drawn.place("first")[1] < drawn.place("second")[1]


@pytest.mark.parametrize(
    ("values", "ends", "labels"),
    [
        ([0, 100], (0, 100), ["0", "20", "40", "60", "80", "100"]),
        ([0.31, 0.72], (0, 0.8), ["0", "0.2", "0.4", "0.6", "0.8"]),
        ([], (0, 1), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ([-3, 14], (-5, 15), ["-5", "0", "5", "10", "15"]),
        ([1234], (0, 1250), ["0", "250", "500", "750", "1000", "1250"]),
    ],
)
def test_ticks_are_round_and_hold_all_values(values, ends, labels):
    axis = linear_axis(values)
    assert (axis.low, axis.high) == pytest.approx(ends)
    assert [label for _, label in axis.ticks] == labels


def test_a_log_axis_has_equal_steps_for_equal_ratios():
    axis = log_axis([2, 200])
    assert axis.share(20) - axis.share(2) == pytest.approx(axis.share(200) - axis.share(20))
    assert [label for _, label in axis.ticks] == ["2", "5", "10", "20", "50", "100", "200"]


def test_long_names_are_turned_and_cut_but_kept_as_title():
    names = [f"a class with a very long name, number {number}" for number in range(8)]
    drawn = Drawn(Chart("c", category_axis(names), linear_axis([0, 1])).html())
    labels = [(t, e) for t, e in drawn.texts if "rotate" in (e.get("transform") or "")]
    assert len(labels) == 8 and all(text.endswith("…") for text, _ in labels)
    assert drawn.titles("text") == names


def test_names_stay_text_and_a_chart_is_always_the_same():
    stages = [STAGES[0].model_copy(update={"name": '</svg><b>x"'}), *STAGES[1:]]
    html = truth_curves(stages)
    assert html == truth_curves(stages)
    assert "&lt;/svg&gt;&lt;b&gt;x&#34;" in html and "<b>" not in html
    assert any(text == '</svg><b>x"' for text, _ in Drawn(html).texts)


def test_curves_hold_the_figures_of_the_stages():
    drawn = Drawn(truth_curves(STAGES))
    assert drawn.legend == [
        "label mIoU, IGNORE counted as wrong",
        "validation mIoU",
        "coverage",
    ]
    titles = drawn.titles("path")
    assert "label mIoU, IGNORE counted as wrong, round-1: 70.0 %" in titles
    assert "validation mIoU, round-2: 60.0 %" in titles
    assert not any("seeds" in title and "validation" in title for title in titles)
    lines = drawn.lines()
    assert [len(lines[SERIES[number]]) for number in (0, 2, 3)] == [3, 2, 1]


def test_a_missing_value_leaves_a_gap():
    chart = Chart("c", category_axis("abcd"), linear_axis([0, 1]))
    chart.line([(0, 0.5), (1, None), (2, 0.5), (3, 1.0)], "line")
    runs = [line.get("points").split() for line in Drawn(chart.html()).svg.iter("polyline")]
    assert [len(run) for run in runs] == [1, 2]


def test_signals_are_drawn_if_they_are_known():
    stages = [
        StageStats(name="seeds", signals={"fill": 0.5, "area": 0.3}, seconds=1),
        StageStats(name="round-1", signals={"fill": 0.6, "kept": 0.7, "churn": 0.0}, seconds=1),
        StageStats(name="finetuned", seconds=1),
    ]
    titles = Drawn(signal_curves(stages)).titles("path")
    assert titles == ["kept, round-1: 70.0 %", "fill, seeds: 50.0 %", "fill, round-1: 60.0 %"]
    assert signal_curves(stages[2:]) is None


def test_bars_leave_out_stages_without_the_figure_but_keep_zero():
    drawn = Drawn(stage_bars(STAGES, "resets", "boxes"))
    assert drawn.titles("rect") == ["round-1: 8 boxes", "round-2: 0 boxes"]
    assert drawn.id == "resets-of-stages"


def test_runs_of_one_recipe_share_a_colour_and_runs_without_truth_have_no_curve():
    more = {"classes": ["a"], "seed": 0, "config": {}}
    summaries = {name: Summary(stages=STAGES, **more) for name in ("a", "b", "c")}
    summaries["d"] = Summary(stages=[StageStats(name="seeds", seconds=1.0)], **more)
    drawn = Drawn(run_curves(summaries, {"a": 0, "b": 1, "c": 0, "d": 2}))
    assert drawn.legend == ["a", "b", "c"]
    strokes = [line.get("stroke") for line in drawn.svg.iter("polyline")]
    assert strokes == [SERIES[0], SERIES[1], SERIES[0]]
    assert run_curves({"d": summaries["d"]}, {"d": 0}) is None


def test_thresholds_are_a_line_a_stage_and_a_mark_for_each_chosen_one():
    curves = {"cams": {0.05: 0.25, 0.1: 0.5}, "spread": {0.05: 0.5, 0.1: 0.75}}
    drawn = Drawn(threshold_curves(curves, [0.05, 0.3, 0.3]))
    assert drawn.legend == ["cams", "spread"]
    assert "spread at 0.1: 75.0 %" in drawn.titles("path")
    assert [text for text, _ in drawn.texts].count("0.3") == 1
    rules = [path for path in drawn.svg.iter("path") if path.get("stroke") == SERIES[3]]
    assert len(rules) == 2


def test_the_confusion_is_of_the_true_class():
    confusion = [[97, 0, 3], [0, 1, 3], [0, 0, 0]]
    drawn = Drawn(confusion_map("c", [[*row, 0] for row in confusion], ["<a>", "b", "c"]))
    assert drawn.titles("rect") == [
        "<a> labelled as <a>: 97.00 %",
        "<a> labelled as c: 3.00 %",
        "b labelled as b: 25.00 %",
        "b labelled as c: 75.00 %",
    ]
    first, second = [*drawn.svg.iter("rect")][:2]
    assert float(first.get("y")) == float(second.get("y"))
    assert float(first.get("x")) < float(second.get("x"))
    assert {"97", "25", "75", "3", "no label"} <= {text for text, _ in drawn.texts}


def test_a_confusion_of_many_classes_has_no_text_in_its_cells():
    for count, has_text in ((3, True), (60, False)):
        row = [[7] + [0] * count] * count
        drawn = Drawn(confusion_map("c", row, [f"class {n}" for n in range(count)]))
        assert ("100" in {text for text, _ in drawn.texts}) == has_text
        assert len(drawn.titles("rect")) == count


def test_reliability_has_a_bar_at_its_confidence():
    drawn = Drawn(reliability_bars("r", [ReliabilityBin(0.5, 0.25, 1.0)]))
    assert drawn.titles("rect") == ["confidence 50.0 %: 25.0 % right, 100.0 % of the pixels"]
    (diagonal,) = drawn.lines().values()
    bar = next(drawn.svg.iter("rect"))
    middle = float(bar.get("x")) + float(bar.get("width")) / 2
    assert middle == pytest.approx((diagonal[0][0] + diagonal[1][0]) / 2, abs=0.2)
    assert float(bar.get("height")) == pytest.approx((diagonal[0][1] - diagonal[1][1]) / 4, abs=0.2)


def test_coverage_falls_along_its_line():
    drawn = Drawn(coverage_lines("k", [(0.25, 1.0, 0.625), (0.75, 0.75, 0.5)]))
    assert drawn.titles("path") == [
        "pixels above the threshold 25 %: 100.0 %",
        "pixels above the threshold 75 %: 75.0 %",
        "accuracy of these 25 %: 62.5 %",
        "accuracy of these 75 %: 50.0 %",
    ]
