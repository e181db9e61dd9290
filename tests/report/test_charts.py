import pytest

from wsseg.report.charts import (
    SERIES,
    chart,
    stage_bars,
    stage_curves,
    threshold_lines,
)
from wsseg.report.comparison_charts import recipe_bars, run_curves

STAGES = [
    {"name": "seeds", "label_miou": 0.525, "coverage": 0.8, "seconds": 3.0},
    {"name": "round-1", "label_miou": 0.7, "resets": 8, "val_miou": 0.5, "seconds": 9.5},
    {"name": "round-2", "label_miou": 0.65, "resets": 0, "val_miou": 0.6, "seconds": 9.0},
]


def test_curves_hold_the_figures_of_the_stages():
    lines = {line.name: line for line in stage_curves(STAGES).data}
    assert list(lines["label mIoU, IGNORE counted wrong"].y) == [52.5, 70.0, 65.0]
    assert list(lines["coverage"].y) == [80.0, None, None]
    assert list(lines["validation mIoU"].x) == ["seeds", "round-1", "round-2"]
    assert "label mIoU on covered pixels" not in lines
    assert len({line.line.color for line in lines.values()}) == len(lines)


def test_bars_leave_out_stages_without_the_figure_but_keep_zero():
    (bars,) = stage_bars(STAGES, "resets", "boxes").data
    assert list(bars.x) == ["round-1", "round-2"]
    assert list(bars.y) == [8, 0]


def test_runs_of_one_recipe_share_a_colour_and_runs_without_truth_have_no_curve():
    summaries = {name: {"stages": STAGES} for name in ("a", "b", "c")}
    summaries["d"] = {"stages": [{"name": "seeds", "seconds": 1.0}]}
    lines = run_curves(summaries, {"a": 0, "b": 1, "c": 0, "d": 2}).data
    assert [line.name for line in lines] == ["a", "b", "c"]
    assert [line.line.color for line in lines] == [SERIES[0], SERIES[1], SERIES[0]]


def test_recipes_stand_with_their_spread():
    (bars,) = recipe_bars(["weak", "full"], [0.5, 0.75], [0.02, 0.0]).data
    assert list(bars.x) == [50, 75] and list(bars.y) == ["weak", "full"]
    assert list(bars.error_x.array) == pytest.approx([2, 0])


def test_a_chart_prints_names_as_they_are_and_is_always_the_same_text():
    figure = stage_curves([{**STAGES[0], "name": "</script><b>x"}])
    drawn = chart(figure, "curves")
    assert drawn == chart(figure, "curves")
    assert drawn.count("</script>") == drawn.count("<script")
    assert list(figure.data[0].x) == ["&lt;/script&gt;&lt;b&gt;x"]
    assert 'id="curves"' in drawn


def test_thresholds_are_a_line_a_stage_and_a_mark_for_each_chosen_one():
    curves = {"cams": {"0.05": 0.25, "0.1": 0.5}, "spread": {"0.05": 0.5, "0.1": 0.75}}
    figure = threshold_lines(curves, [0.05, 0.3, 0.3])
    assert [line.name for line in figure.data] == ["cams", "spread"]
    assert list(figure.data[1].x) == [0.05, 0.1] and list(figure.data[1].y) == [50, 75]
    assert [mark.x0 for mark in figure.layout.shapes] == [0.05, 0.3]
