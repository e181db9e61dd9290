"""Reports of whole runs: the page in a browser, two runs side by side, and text."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.running import wsseg

from wsseg.runs.run import Run


@pytest.fixture(scope="session")
def other(tmp_path_factory, scenes, config_file):
    """The same without cleaning and a round shorter."""
    folder = tmp_path_factory.mktemp("runs") / "naive"
    more = ["rounds.clean=false", "rounds.count=1"]
    assert wsseg("run", config_file, f"run_dir={folder}", f"data.root={scenes}", *more) == 0
    return folder


@pytest.fixture
def page(finished, browser):
    """The report, open, offline, and without an error to its end."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    found, errors = context.new_page(), list[str]()
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.goto((finished / "report/index.html").as_uri())
    yield found
    context.close()
    assert not errors


def test_the_summary_says_what_was_measured_in_every_way(finished):
    summary = json.loads((finished / "report" / "summary.json").read_text())
    stages = ["seeds", "round-1", "round-1/val", "round-2", "round-2/val"]
    assert [*summary["measured"]] == stages
    for name, found in summary["measured"].items():
        low, high = found["interval"]
        assert low <= found["miou"] <= high
        assert len(found["confusion"]) == 6 and len(found["confusion"][0]) == 7
        assert {"iou", "precision", "recall", "boundary_iou"} <= set(found["classes"]["background"])
        assert found["sizes"]["whole"][1] > 0
        assert ("calibration_error" in found) == name.endswith("/val")
    assert [each["stage"] for each in summary["verdicts"]] == ["round-1", "round-2"]
    assert summary["stages"][0].get("label_change") is None
    value, low, high = summary["stages"][2]["label_change"]
    mious = [stage["label_miou"] for stage in summary["stages"]]
    assert value == pytest.approx(mious[2] - mious[1]) and low <= value <= high
    assert {"fill", "area", "churn"} <= set(summary["stages"][1]["signals"])


def test_what_was_measured_can_be_chosen(page):
    shown = page.locator(".measured:visible")
    assert shown.count() == 1 and shown.get_attribute("data-name") == "validation of round-2"
    assert page.locator(".measured:visible .chart").count() == 3
    page.select_option("#which", "labels of seeds")
    assert shown.get_attribute("data-name") == "labels of seeds"
    assert page.locator(".measured:visible .chart").count() == 1  # seeds have no confidence
    page.select_option("#which", "validation of round-1")
    assert page.locator(".measured:visible .chart svg").first.bounding_box()["width"] > 300


def test_a_figure_leads_to_its_image_in_all_rounds(page):
    link = page.locator(".row h3 a").first
    name = link.inner_text()
    link.click()
    page.wait_for_selector("#detail[open] #large canvas")
    assert page.inner_text("#detail-name").startswith(name)
    assert page.locator("#strip button").count() == 3


def test_two_runs_are_compared_image_by_image(finished, other, browser, tmp_path, capsys):
    run = shutil.copytree(finished, tmp_path / "boxes")
    assert wsseg("report", run, "--compare", other) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == run / "report" / "against-naive" / "index.html"
    found = browser.new_page()
    found.goto(path.as_uri())
    text = found.inner_text("main")
    assert "boxes against naive" in text and "rounds.clean" in text
    assert "labels of round-2" in text and "validation of round-2" in text
    found.goto((path.parent / "images.html").as_uri())
    found.wait_for_selector(".image canvas")
    assert found.locator("#sort option").first.inner_text() == "gain of IoU"
    assert found.inner_text("#stage-name") == "boxes: round-2"
    found.close()


def test_runs_whose_folders_have_one_name_are_distinguished(finished, tmp_path, capsys):
    one, two = (shutil.copytree(finished, tmp_path / name / "boxes") for name in "ab")
    assert wsseg("report", one, "--compare", two) == 0
    page = (one / "report" / "against-b-boxes" / "index.html").read_text()
    assert "a/boxes against b/boxes" in page
    assert wsseg("report", one, "--compare", one) == 2
    assert "must be another run, got the same" in capsys.readouterr().err


def test_perfect_labels_have_a_report(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    for path in run.glob("*/quality/stats.parquet"):
        table = pd.read_parquet(path)
        labels = table["class"].to_numpy()
        counts = np.stack(table["confusion"].to_list())
        perfect = np.zeros_like(counts)
        perfect[np.arange(len(labels)), labels] = counts.sum(axis=1)
        table["confusion"], table["predicted"] = list(perfect), perfect.sum(axis=1)
        table[perfect.sum(axis=1) > 0].to_parquet(path)
    assert wsseg("report", run) == 0
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert summary["stages"][1]["label_miou"] == 1 and "agreement" not in summary["stages"][1]


def test_runs_of_other_classes_are_not_compared(finished, tmp_path):
    assert wsseg("report", finished, "--compare", tmp_path / "none") == 2


def test_text_fits_a_terminal(finished, capsys):
    assert wsseg("report", finished, "--text") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert all(name in text for name in ("round-2", "is another round worth it?", "train-0000"))


def test_figures_of_stages_are_curves_in_tensorboard(finished, scenes, config_file, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = shutil.copytree(finished, tmp_path / "run")
    arguments = [f"run_dir={run}", f"data.root={scenes}", "loggers=tensorboard"]
    for _ in range(2):  # the second report replaces the curves of the first
        assert wsseg("run", config_file, *arguments) == 0
    found = events.EventAccumulator(str(run / "report" / "tensorboard"))
    found.Reload()
    summary = json.loads((run / "report" / "summary.json").read_text())
    curve = [(point.step, point.value) for point in found.Scalars("label_miou")]
    expected = [(n, pytest.approx(s["label_miou"])) for n, s in enumerate(summary["stages"])]
    assert curve == expected
    assert {"val_miou", "signals/fill", "signals/churn"} <= set(found.Tags()["scalars"])


def test_automatic_rounds_end_by_themselves(scenes, config_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("wsseg.stages.params._MAX_ROUNDS", 5)
    run = tmp_path / "run"
    more = ["rounds.count=auto", "rounds.clean=false"]
    assert wsseg("run", config_file, f"run_dir={run}", f"data.root={scenes}", *more) == 0
    output = capsys.readouterr().err
    assert "WARNING: labels get worse" in output and "rounds end" in output
    rounds = [name for name in Run(run).label_stages() if name.startswith("round-")]
    assert 1 <= len(rounds) < 5 and not (run / f"round-{len(rounds) + 1}").exists()
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert [stage["name"] for stage in summary["stages"]] == ["seeds", *rounds]
    assert wsseg("run", config_file, f"run_dir={run}", f"data.root={scenes}", *more) == 0
    assert not (run / f"round-{len(rounds) + 1}").exists()


def test_declared_masks_are_kept_and_bad_lists_refused(finished, tmp_path, capsys):
    run = shutil.copytree(finished, tmp_path / "run")
    listed = tmp_path / "list.txt"
    listed.write_text("train-0001\ntrain-0002\n")
    assert wsseg("report", run, "--masks", listed) == 0
    assert (run / "declared.txt").read_text() == listed.read_text()
    listed.write_text("val-0000\n")
    assert wsseg("report", run, "--masks", listed) == 2
    assert "must be a list of training images" in capsys.readouterr().err
    assert (run / "declared.txt").read_text() == "train-0001\ntrain-0002\n"
