import shutil

import numpy as np
import pytest

from wsseg.errors import InputError
from wsseg.metrics.bootstrap import ImageOverlaps, miou_ratio
from wsseg.report.comparison import comparison_table
from wsseg.report.comparison_page import compare_runs, cost_points, write_comparison
from wsseg.report.page import NOTHING
from wsseg.report.summary import Summary, read_summary


def _run(pipeline="boxes", seed=0, val=0.6, labels=(0.5, 0.7), seeds="grabcut"):
    config = {
        "pipeline": pipeline,
        "seed": seed,
        "run_dir": f"runs/{seed}",
        "machine": {"workers": seed + 1},
    }
    summary = {
        "classes": ["background", "cow"],
        "seed": seed,
        "config": {**config, "seeds": {"name": seeds}},
        "stages": [
            {"name": f"round-{i}", "label_miou": miou, "seconds": 1.0}
            for i, miou in enumerate(labels)
        ],
    }
    if val is not None:
        summary.update(val_miou=val, val_per_class={"background": 0.9, "cow": 2 * val - 0.9})
    return Summary(**summary)


def test_seeds_of_one_recipe_stand_together():
    runs = {"a": _run(val=0.60), "b": _run(seeds="box", val=0.5), "c": _run(seed=1, val=0.64)}
    together, alone = comparison_table(runs)
    assert together.runs == ("a", "c") and together.name == "a, c"
    assert together.val_miou.mean == pytest.approx(0.62)
    assert together.val_miou.deviation == pytest.approx(0.02 * 2**0.5)
    assert together.val_miou.count == 2
    assert (alone.val_miou.mean, alone.val_miou.deviation) == (0.5, 0.0)
    assert together.per_class["cow"] == pytest.approx(0.34)


def test_the_ratio_is_to_the_first_full_recipe():
    runs = {
        "weak": _run(val=0.6),
        "full-0": _run("full", 0, 0.7, ()),
        "full-1": _run("full", 1, 0.9, ()),
        "full-box": _run("full", 0, 0.1, (), "box"),
    }
    weak, full, other = comparison_table(runs)
    assert weak.ratio.mean == pytest.approx(0.75)
    assert full.ratio.mean == pytest.approx(1.0)
    assert full.ratio.deviation == pytest.approx(0.1 * 2**0.5 / 0.8)
    assert other.ratio.mean == pytest.approx(0.125)


def _overlaps(hits, ids=("a", "b", "c")):
    return ImageOverlaps(ids, np.array(hits)[:, None], np.full((len(ids), 1), 10))


def test_the_share_of_the_upper_bound_has_a_paired_interval():
    runs = {
        "weak": _run(seeds="box", val=0.5),
        "full": _run("full", 0, 0.8),
        "again": _run("full", 1),
    }
    images = {"weak": _overlaps([3, 5, 7]), "full": _overlaps([8] * 3), "again": _overlaps([6] * 3)}
    weak, full = comparison_table(runs, images)
    assert weak.interval == miou_ratio([images["weak"]], [images["full"], images["again"]])
    assert weak.interval.value == pytest.approx(weak.ratio.mean) == pytest.approx(0.5 / 0.7)
    assert weak.interval.low < weak.interval.value < weak.interval.high
    assert tuple(full.interval) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    "images",
    [
        {"weak": _overlaps([3, 5, 7])},
        {"weak": _overlaps([3, 5, 7]), "full": _overlaps([8] * 3, ids=("a", "b", "d"))},
    ],
)
def test_the_share_has_no_interval_without_the_same_images(images):
    weak, _ = comparison_table({"weak": _run(), "full": _run("full", val=0.8)}, images)
    assert weak.ratio and weak.interval is None


def test_the_interval_is_that_of_the_predictions_on_disk(finished, tmp_path):
    bound = tmp_path / "bound"
    shutil.copytree(finished, bound)
    summary = read_summary(bound)
    full = summary.model_copy(update={"config": {**summary.config, "pipeline": "full"}})
    full.save(bound / "report")
    titles, weak, _ = compare_runs([finished, bound], tmp_path / "page")
    assert titles.split()[-4:] == ["of", "full", "95", "%"]
    assert weak.split()[-4:] == ["100.0", "100.0", "to", "100.0"]
    assert "<td>100.0 to 100.0</td>" in (tmp_path / "page" / "index.html").read_text()
    shutil.rmtree(bound / "round-2" / "val")
    assert compare_runs([finished, bound])[1].split()[-2:] == ["100.0", NOTHING]


def test_first_and_last_label_figures():
    (row,) = comparison_table({"a": _run(labels=(0.5, 0.8, 0.75))})
    assert (row.first_label_miou.mean, row.last_label_miou.mean) == (0.5, 0.75)


def test_labels_with_ignore_are_compared_on_covered_pixels_too(tmp_path):
    run = _run()
    stages = [
        stage.model_copy(update={"label_miou_covered": 0.9, "coverage": share})
        for stage, share in zip(run.stages, (0.4, 1.0), strict=True)
    ]
    unsure = run.model_copy(update={"stages": stages})
    unsure.save(tmp_path / "unsure" / "report")
    run.save(tmp_path / "plain" / "report")
    (row,) = comparison_table({"a": unsure})
    assert (row.first_covered.mean, row.first_coverage.mean) == (0.9, 0.4)
    assert (row.last_covered.mean, row.last_coverage.mean) == (0.9, 1.0)
    titles, figures = compare_runs([tmp_path / "unsure"], tmp_path / "page")
    assert titles.count("on covered") == titles.count("coverage") == 2
    assert figures.split()[3:9] == ["50.0", "90.0", "40.0", "70.0", "90.0", "100.0"]
    assert "on covered pixels" in (tmp_path / "page" / "index.html").read_text()
    assert "covered" not in compare_runs([tmp_path / "plain"], tmp_path / "other")[0]
    assert "on covered" not in (tmp_path / "other" / "index.html").read_text()


def test_figures_that_no_run_has_are_absent():
    (row,) = comparison_table({"a": _run(val=None, labels=())})
    assert row.val_miou is row.ratio is row.first_label_miou is row.last_label_miou is None
    assert row.per_class == {}


def test_classes_that_occur_nowhere_are_left_out():
    summary = _run()
    unknown = summary.model_copy(update={"val_per_class": {"background": 0.9, "cow": None}})
    (row,) = comparison_table({"a": unknown})
    assert row.per_class == {"background": 0.9}


def test_runs_of_different_data_are_refused():
    other = _run().model_copy(update={"classes": ["background", "sheep"]})
    with pytest.raises(
        InputError, match=r"run b must be on the same classes as run a, got .*sheep"
    ):
        comparison_table({"a": _run(), "b": other})
    with pytest.raises(InputError, match="runs to compare must be at least one, got none"):
        comparison_table({})


def test_the_page_shows_every_recipe_and_class(tmp_path):
    runs = {"weak": _run(val=0.6), "<b>full": _run("full", 0, 0.8, ())}
    write_comparison(tmp_path, runs)
    text = (tmp_path / "index.html").read_text()
    assert "<td>75.0</td>" in text and "<td>100.0</td>" in text
    assert "&lt;b&gt;full" in text and "<b>full" not in text
    assert "share of &lt;b&gt;full" in text
    assert 'id="recipes"' in text and 'id="curves"' in text
    assert '<td class="heat" style="--share: 0.300">30.0</td>' in text


def test_the_page_without_an_upper_bound_or_figures(tmp_path):
    write_comparison(tmp_path, {"a": _run(val=None, labels=())})
    text = (tmp_path / "index.html").read_text()
    assert "share of" not in text
    assert 'id="recipes"' not in text and 'id="curves"' not in text
    assert "<h1>Comparison of 1 run</h1>" in text


def test_the_same_runs_give_the_same_page(tmp_path):
    for name in ("a", "b"):
        write_comparison(tmp_path / name, {"weak": _run(), "again": _run(seed=1)})
    assert (tmp_path / "a/index.html").read_bytes() == (tmp_path / "b/index.html").read_bytes()


def test_recipes_stand_with_their_spread(tmp_path):
    runs = {"a": _run(val=0.60), "b": _run(seed=1, val=0.64), "c": _run("full", val=0.8)}
    write_comparison(tmp_path, runs)
    text = (tmp_path / "index.html").read_text()
    assert "<title>a, b: 62.0 ± 2.8 %</title>" in text and "<title>c: 80.0 %</title>" in text
    assert "<td>62.0 ± 2.8</td>" in text


def test_costs_join_what_nothing_cheaper_beats():
    def costed(seconds, val, seeds):
        return _run(val=val, seeds=seeds).model_copy(update={"annotation_seconds": seconds})

    runs = {
        "runs/tags": costed((20.0, 20.0), 0.4, "a"),
        "runs/dear": costed((100.0, 100.0), 0.3, "b"),
        "runs/boxes": costed((14.0, 70.0), 0.6, "c"),
        "runs/free": costed((0.0, 0.0), 0.9, "d"),
    }
    text = str(cost_points(comparison_table(runs)))
    assert text.count("<title>") == 3 and "runs/free" not in text
    assert "<title>runs/boxes: 14 to 70 s per image, 60.0 %</title>" in text
    assert ">tags</text>" in text and ">boxes</text>" in text and ">dear</text>" not in text
    assert text.count('stroke-dasharray="2 3"') == 1
