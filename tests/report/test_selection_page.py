import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from wsseg.data.model import Classes, Sample
from wsseg.report import selection_page
from wsseg.report.selection_page import projection_chart, write_selection_page
from wsseg.stages.selection.candidates import Candidates
from wsseg.stages.selection.choosing import Choice, Coverage
from wsseg.stages.selection.embeddings import Embeddings, Rows
from wsseg.stages.selection.params import SelectionParams
from wsseg.stages.selection.selecting import Selection

NASTY = "<script>alert(1)</script>"


def selection_in(folder, count=8, chosen=(3, 1), labelled=(), classes=("background", "cow", "cat")):
    random = np.random.default_rng(0)
    rows = Rows(folder / "rows.npy")
    rows.create(count, 4)
    samples = []
    for number in range(count):
        vector = random.normal(size=4)
        rows.write(number, vector / np.linalg.norm(vector))
        path = folder / f"{number}.png"
        Image.new("RGB", (40, 20), (number, 0, 0)).save(path)
        name = NASTY if number == 3 else f"image {number}"
        samples.append(Sample(name.replace("/", ""), path, (20, 40), (), "train"))
    shows = np.zeros((count, len(classes) - 1), bool)
    shows[::2, 0] = True
    shows[3, 1:] = True
    is_labelled = np.zeros(count, bool)
    is_labelled[list(labelled)] = True
    return Selection(
        params=SelectionParams(dataset="data", out=folder / "out", budget=len(chosen)),
        candidates=Candidates(tuple(samples), Classes(classes), shows, is_labelled),
        embeddings=Embeddings(rows, np.arange(count)),
        choice=Choice(np.array(chosen), np.array([np.inf, 0.25]), np.full(count, 0.5)),
        network="resnet18 (imagenet)",
        quota=2,
        uncertainty=np.full(count, 0.125),
        covered=Coverage(0.75, 0.5, 2),
        at_random=Coverage(0.875, 0.625, 1.4),
        notes=("cat is in 1 of 2 images: no other image shows it",),
        skipped={"<b>bad": "a <i>reason"},
    )


def test_the_page_shows_the_chosen_images_in_order_with_their_scores(tmp_path):
    text = write_selection_page(selection_in(tmp_path)).read_text()
    page = text[text.rindex("<body") :]
    assert page.index("2. image 1</b>") > page.index("1. &lt;script&gt;")
    assert page.count("data:image/jpeg;base64,") == 2
    assert "embeddings of resnet18 (imagenet)" in page
    assert "distance 0.250" in page and "distance inf" not in page
    assert page.count("uncertainty 0.125") == 2
    assert "largest distance; at random 0.875" in page and "cat is in 1 of 2 images" in page
    assert "<td>cat</td><td>1</td><td>1</td><td>not met</td>" in page
    assert "<td>cow</td><td>4</td><td>0</td><td>not met</td>" in page


def test_names_are_escaped_and_nothing_is_fetched(tmp_path):
    text = write_selection_page(
        selection_in(tmp_path, classes=("background", "<u>cow", "cat"))
    ).read_text()
    page = text[text.rindex("<body") :]
    for raw in ("<script>alert", "<u>cow", "<b>bad", "<i>reason"):
        assert raw not in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def markers(chart):
    """Places of the chart's markers, by what they say."""
    root = ElementTree.fromstring(str(chart))
    assert [item[0].tail for item in root.iter("li")]
    return {
        path.find("title").text: [float(n) for n in re.findall(r"[\d.]+", path.get("transform"))]
        for path in root.find("svg").iter("path")
        if path.find("title") is not None
    }


def test_points_are_chosen_labelled_and_others(tmp_path):
    selection = selection_in(tmp_path, labelled=(5,))
    points = np.arange(16, dtype=np.float32).reshape(8, 2)
    chart = projection_chart(selection, points)
    legend = [item[0].tail for item in ElementTree.fromstring(str(chart)).iter("li")]
    assert legend == ["not chosen", "labelled before", "chosen"]
    places = markers(chart)
    others = [f"image {number}" for number in (0, 2, 4, 6, 7)]
    assert [*places] == [*others, "image 5", f"1. {NASTY.replace('/', '')}", "2. image 1"]
    x = [places[name][0] for name in others]  # at 0, 4, 8, 12 and 14 of the first component
    assert np.diff(x) / (x[-1] - x[0]) == pytest.approx(np.array([4, 4, 4, 2]) / 14, abs=0.001)
    assert places["image 0"][1] > places["image 7"][1]  # the second component points up


def test_of_many_others_a_part_is_drawn_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(selection_page, "_MAX_POINTS", 4)
    selection = selection_in(tmp_path)
    chart = projection_chart(selection, np.zeros((8, 2), np.float32))
    assert len(markers(chart)) == 4 + 2
    assert chart == projection_chart(selection, np.zeros((8, 2), np.float32))
    assert (
        "2 images that were not chosen are not drawn" in write_selection_page(selection).read_text()
    )


@pytest.mark.parametrize("labelled", [(), (5,)])
def test_the_same_selection_gives_the_same_page(tmp_path, labelled):
    selection = selection_in(tmp_path, labelled=labelled)
    page = write_selection_page(selection).read_bytes()
    assert write_selection_page(selection).read_bytes() == page
    assert (b"labelled before" in page) == bool(labelled)
