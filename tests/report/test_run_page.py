import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from wsseg.errors import InputError
from wsseg.metrics.bootstrap import Interval
from wsseg.parallel import Skipped
from wsseg.report.pictures import gallery_row
from wsseg.report.run_page import write_run_page
from wsseg.report.summary import RoundStats, StageStats, Summary, read_summary
from wsseg.synthetic.scenes import CLASSES, generate_scene

NETWORK = "validation mIoU of the final network; 55.0 to 62.5 on other such images (95 %)"
SHARES = {"background": 0.9, "disc": 0.5, "ring": 0.25, "star": 0.5, "cross": 0.5, "hook": 0.5}


def _summary():
    seeds = {"name": "seeds", "label_miou": 0.525, "coverage": 0.8, "per_class": SHARES}
    rounds = [
        {"name": f"round-{r}", "label_miou": miou, "resets": 9 - r, "val_miou": 0.4 + r / 10}
        for r, miou in ((1, 0.7), (2, 0.65))
    ]
    rounds[0]["per_class"] = {**SHARES, "ring": float("nan")}
    return {
        "classes": list(CLASSES),
        "seed": 3,
        "config": {"pipeline": "boxes", "run_dir": "runs/first", "seeds": {"name": "grabcut"}},
        "stages": [{**stage, "seconds": 30.0} for stage in (seeds, *rounds)],
        "val_miou": 0.6,
        "val_interval": [0.55, 0.625],
        "val_per_class": SHARES,
    }


def _row(index=0, image_id="train-0000"):
    image, truth, boxes = generate_scene(np.random.default_rng(index), (64, 80))
    return gallery_row(image_id, image, boxes, {"seeds": truth, "truth": truth})


class _Page(HTMLParser):
    """Texts, tags and attributes of a page, scripts and styles left out."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._inside = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data):
        if self._inside not in ("script", "style") and data.strip():
            self.texts.append(data.strip())

    def sources(self):
        return [a[k] for _, a in self.tags for k in ("src", "href") if k in a]


def _page(folder):
    return _Page((folder / "index.html").read_text())


def _write(folder, summary, *more):
    write_run_page(folder, Summary.model_validate(summary), *more)


def test_the_summary_comes_back_with_nan_as_null(tmp_path):
    summary = Summary.model_validate(_summary())
    write_run_page(tmp_path / "report", summary)
    raw = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert raw["stages"][1]["per_class"].pop("ring") is None
    expected = _summary()
    del expected["stages"][1]["per_class"]["ring"]
    assert raw == expected
    assert read_summary(tmp_path) == summary


def test_intervals_come_back(tmp_path):
    stage = StageStats(name="seeds", seconds=1, label_change=Interval(0.1, 0.0, 0.2))
    _write(tmp_path / "report", {**_summary(), "stages": [stage]})
    assert read_summary(tmp_path).stages[0].label_change == Interval(0.1, 0.0, 0.2)


def test_a_missing_or_damaged_summary_is_explained(tmp_path):
    with pytest.raises(InputError, match=r"There is no report .*; finish the run first"):
        read_summary(tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "summary.json").write_text("{")
    with pytest.raises(InputError, match="must be JSON"):
        read_summary(tmp_path)
    (tmp_path / "report" / "summary.json").write_text("[]")
    with pytest.raises(InputError, match="not the summary of a run; write it with wsseg report"):
        read_summary(tmp_path)


def test_headline_figures(tmp_path):
    _write(tmp_path, _summary())
    texts = _page(tmp_path).texts
    assert texts[texts.index("best label mIoU, after round-1") - 1] == "70.0 %"
    assert texts[texts.index("points gained over seeds") - 1] == "+17.5"
    assert texts[texts.index(NETWORK) - 1] == "60.0 %"
    assert texts[texts.index("for 3 stages") - 1] == "1 min 30 s"


def test_the_stage_table_has_every_figure_and_a_dash_where_none_applies(tmp_path):
    _write(tmp_path, _summary())
    texts = _page(tmp_path).texts
    header = texts.index("stage")
    assert texts[header : header + 6] == [
        "stage",
        "label mIoU, %",
        "coverage, %",
        "validation mIoU, %",
        "resets",
        "time",
    ]
    assert texts[header + 6 : header + 12] == [
        "seeds",
        "52.5",
        "80.0",
        "\u2013",
        "\u2013",
        "30.0 s",
    ]
    assert texts[header + 12 : header + 17] == ["round-1", "70.0", "\u2013", "50.0", "8"]


def test_the_class_table_is_heated_by_share(tmp_path):
    _write(tmp_path, _summary())
    cells = [a for t, a in _page(tmp_path).tags if t == "td" and a.get("class") in ("heat", "none")]
    assert len(cells) == len(CLASSES) * 3
    ring = cells[2 * 3 : 3 * 3]
    assert [cell.get("style") for cell in ring] == ["--share: 0.250", None, "--share: 0.250"]


def test_a_run_without_truth_shows_what_it_has(tmp_path):
    summary = {**_summary(), "stages": [{"name": "seeds", "coverage": 0.9, "seconds": 2.0}]}
    del summary["val_miou"], summary["val_per_class"]
    _write(tmp_path, summary)
    texts = _page(tmp_path).texts
    assert "90.0" in texts and "None: all images could be used." in texts
    assert not any("mIoU" in text or "IoU of each class" in text for text in texts)


def test_the_page_needs_no_network_and_no_other_folder(tmp_path):
    _write(tmp_path, _summary(), [_row()])
    page = _page(tmp_path)
    beside, image, *figures = page.sources()
    assert (beside, image) == ("images.html", "images.html#train-0000")
    assert figures == [f"pictures/000-{n}.jpg" for n in range(3)]
    assert all((tmp_path / source).is_file() for source in figures)
    assert "@import" not in (tmp_path / "index.html").read_text().split("<script>")[0]


def test_charts_are_in_the_page_which_stays_small(tmp_path):
    _write(tmp_path, _summary())
    text = (tmp_path / "index.html").read_text()
    names = re.findall(r'<div class="chart" id="(.+?)">', text)
    assert names == ["curves", "resets-of-stages", "seconds-of-stages"]
    assert len(text) < 40_000


def test_verdicts_are_said_in_words(tmp_path):
    verdict = RoundStats(
        stage="round-2",
        agreement=0.618,
        gain=Interval(-0.1, -0.12, -0.08),
        churn=0.1,
        vanished=0.0,
        worse=True,
        word="labels get worse",
        reason="they agree less",
    )
    _write(tmp_path, {**_summary(), "verdicts": [verdict]})
    texts = _page(tmp_path).texts
    assert "labels get worse: they agree less" in texts
    first = texts.index("verdict") + 1
    assert texts[first : first + 4] == ["round-2", "61.8", "-10.0 (-12.0 to -8.0)", "10.0"]


def test_a_page_has_one_agreement_and_says_of_which_images(tmp_path):
    summary = _summary()
    for stage in summary["stages"]:
        stage["signals"] = {"agreement": 0.384, "churn": 0.1}
    verdict = {"stage": summary["stages"][1]["name"], "agreement": 0.221, "gain": None}
    verdict |= {"churn": 0.1, "vanished": 0.85, "resets": 0.81, "images": "validation"}
    verdict |= {"worse": False, "learned_little": True, "reason": "more steps"}
    verdict |= {"word": "the network has learned little"}
    _write(tmp_path, {**summary, "verdicts": [RoundStats(**verdict)]})
    texts = _page(tmp_path).texts
    assert "agreement, validation images, %" in texts
    assert "22.1" in texts and "81.0" in texts and "85.0" in texts
    page = (tmp_path / "index.html").read_text()
    assert "agreement, validation images, " in page and "38.4" not in page
    assert "the network has learned little: more steps" in texts


def test_the_same_run_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        _write(tmp_path / name, _summary(), [_row()], [Skipped("x", "damaged")])
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_names_from_files_stay_text(tmp_path):
    evil = "</script><script>alert(1)</script>"
    summary = _summary()
    summary["classes"][1] = summary["stages"][1]["name"] = evil
    summary["config"]["data"] = {"root": evil}
    _write(tmp_path, summary, [_row(image_id=evil)], [Skipped(evil, evil)])
    text = (tmp_path / "index.html").read_text()
    assert "<script>alert" not in text
    assert _page(tmp_path).texts.count(evil) >= 6


def test_skipped_images_are_listed_with_reasons(tmp_path):
    bad = [Skipped("b", "truncated"), Skipped("a", "empty")]
    _write(tmp_path, _summary(), (), bad)
    texts = _page(tmp_path).texts
    assert texts[texts.index("a") : texts.index("a") + 4] == ["a", "empty", "b", "truncated"]


def test_settings_are_listed_with_dots(tmp_path):
    _write(tmp_path, _summary())
    texts = _page(tmp_path).texts
    assert texts[texts.index("seeds.name") + 1] == "grabcut"


def test_figures_of_an_earlier_report_are_replaced(tmp_path):
    _write(tmp_path, _summary(), [_row(0), _row(1)])
    _write(tmp_path, _summary(), [_row(1)])
    assert len(list((tmp_path / "pictures").iterdir())) == 3


def test_large_figures_are_downscaled(tmp_path):
    image = np.zeros((300, 900, 3), np.uint8)
    _write(tmp_path, _summary(), [gallery_row("a", image, (), {})])
    with Image.open(tmp_path / "pictures" / "000-0.jpg") as shown:
        assert shown.size == (360, 120)


def test_the_summary_is_plain_json(tmp_path):
    _write(tmp_path, _summary())

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)


def _tag_summary(**cam):
    config = {
        "pipeline": "tags",
        "run_dir": "runs/tags",
        "data": {"weak": "tags"},
        "seeds": {"name": "grabcut"},
        "cam": {"method": "layercam", "affinity": "colour", "threshold": "constant", **cam},
    }
    config["cam"] |= {"foreground": 0.3, "background": 0.05}
    return {
        **_summary(),
        "config": config,
        "tag_precision": {"disc": 0.75, "ring": 0.5},
        "thresholds": {"cams": {"0.05": 0.25, "0.1": 0.5}},
    }


def test_a_run_on_tags_says_how_they_were_found(tmp_path):
    _write(tmp_path, _tag_summary())
    texts = _page(tmp_path).texts
    assert any(
        "first labels from tags: layercam, propagated by colour affinity" in text for text in texts
    )
    first = texts.index("Average precision of each tag on the validation images, %")
    assert texts[first + 1 : first + 5] == ["ring", "50.0", "disc", "75.0"]
    assert "Label maps straight from the activation maps" in texts
    page = (tmp_path / "index.html").read_text()
    assert ">0.3</text>" in page and ">0.05</text>" in page


def test_powers_are_no_marks_on_the_axis_of_constants(tmp_path):
    _write(tmp_path, _tag_summary(threshold="power", affinity="none"))
    page = (tmp_path / "index.html").read_text()
    assert ">0.3</text>" not in page
    assert any("first labels from tags: layercam ·" in text for text in _page(tmp_path).texts)


def test_a_run_on_boxes_says_nothing_of_tags(tmp_path):
    _write(tmp_path, _summary())
    assert "Tags and activation maps" not in _page(tmp_path).texts
