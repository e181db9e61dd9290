"""The page of an audit: complete, offline, and safe whatever names say."""

import json
import re
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest
from helpers.audited import NAMES, OBJECT, SIZE, audited, box, painted, reader, sample_of
from helpers.running import wsseg
from PIL import Image

from wsseg.data.annotation import Boxes, MaskFile
from wsseg.data.model import Classes
from wsseg.data.strokes import Scribble, Strokes
from wsseg.labelmaps import write_label_map
from wsseg.networks import prediction
from wsseg.report.audit_page import write_audit_page
from wsseg.report.audit_pictures import ANNOTATED, SUGGESTED, figures_of
from wsseg.stages.audit.audit import audit_run
from wsseg.stages.audit.finding import Audit, Finding
from wsseg.stages.audit.regions import encode_rle

EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of scripts."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self.source = path.read_text()
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [values for name, values in self.tags if name == tag]


@pytest.fixture
def audit(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "load_segmenter", reader)
    return audit_run(audited(tmp_path))


def near(figure, colour):
    """True if a figure, or a JPEG of it, has a pixel of a colour."""
    return (np.abs(figure.astype(int) - colour).max(axis=-1) < 30).any()


def finding(source, suggested=2, place=OBJECT, **more):
    mask = encode_rle(painted((2, *place)) > 0) if suggested is not None else ""
    about = {"kind": "mixed-up class", "annotated": 1, "score": 0.9, "sentence": "Look."}
    suggestion = place if suggested is not None else None
    where = {"place": place, "suggestion": suggestion, "rle": mask, "size": SIZE}
    return Finding(
        **{**about, **where, "id": "a", "source": source, "suggested": suggested, **more}
    )


def test_the_page_shows_the_worst_first_with_its_figures(audit):
    page = Page(write_audit_page(audit))
    said = [page.text.index(f"{rank}. {f.kind}") for rank, f in enumerate(audit.findings, 1)]
    assert said == sorted(said) and len(said) == 4
    cards = [v for v in page.all("div") if "finding" in v.get("class", "")]
    assert [card["data-kind"] for card in cards] == [f.kind for f in audit.findings]
    assert all(NAMES[0] not in json.loads(card["data-classes"]) for card in cards)
    figures = [v["src"] for v in page.all("img")]
    assert len(figures) >= 8 and all((audit.out / name).is_file() for name in figures)
    assert all(v["loading"] == "lazy" and v["alt"] for v in page.all("img"))
    options = {text.strip() for text in re.findall("<option>(.*?)</option>", page.source)}
    assert options == {f.kind for f in audit.findings} | {escape(name) for name in NAMES[1:]}


def test_the_page_needs_no_network(audit):
    page = Page(write_audit_page(audit))
    links = [v.get(key, "") for _, v in page.tags for key in ("src", "href")]
    assert not [link for link in links if ":" in link or link.startswith("/")]


def test_only_the_worst_are_shown_and_the_rest_is_counted(audit):
    page = Page(write_audit_page(audit, limit=1))
    assert len([v for v in page.all("div") if "finding" in v.get("class", "")]) == 1
    assert "The first 1 of 4" in page.text
    assert {path.name[:3] for path in (audit.out / "pictures").iterdir()} == {"000"}


def test_every_name_is_escaped(tmp_path):
    Image.fromarray(painted((2, *OBJECT)) * 50).save(tmp_path / "a.png")
    sample = sample_of(Boxes((box(1, OBJECT),)))
    sample = type(sample)(f"{EVIL[:8]}a", tmp_path / "a.png", SIZE, sample.annotations, "train")
    classes = Classes(("background", EVIL, '"]\' onload="x'))
    wrong = finding("box", id=sample.id, sentence=f"This box says {EVIL}.")
    audit = Audit(
        *(tmp_path / EVIL.replace("/", ""), EVIL, tmp_path / "out", classes),
        *({sample.id: sample}, (wrong,), {EVIL: EVIL}),
    )
    path = write_audit_page(audit)
    page = Page(path)
    assert "alert" not in "".join(re.findall(r"<script>.*?</script>", path.read_text(), re.S))
    assert len(page.all("script")) == 1
    (card,) = [v for v in page.all("div") if "finding" in v.get("class", "")]
    assert set(json.loads(card["data-classes"])) == set(classes.names[1:])
    assert not [values for _, values in page.tags if "onload" in values]


def test_an_image_that_is_gone_by_now_leaves_the_page_whole(audit, tmp_path):
    (tmp_path / "data" / "images" / "mixed.png").unlink()
    assert "The image has been deleted." in Page(write_audit_page(audit)).text


def test_annotation_and_suggestion_are_drawn_in_their_colours():
    image = np.full((*SIZE, 3), 90, np.uint8)
    before = image.copy()
    sample = sample_of(Boxes((box(1, OBJECT), box(2, (60, 5, 78, 25)))))
    classes = Classes(NAMES)
    (caption, first), (suggested, second) = figures_of(image, sample, finding("box"), classes)
    assert caption == "annotated: cow" and suggested == "suggested: <b>sheep</b>"
    assert near(first, ANNOTATED) and not near(first, SUGGESTED)
    assert near(second, SUGGESTED) and not near(second, ANNOTATED)
    assert near(first, (255, 255, 255))
    assert np.array_equal(image, before)


def test_what_is_small_is_also_shown_close_up():
    image = np.full((*SIZE, 3), 90, np.uint8)
    small = finding("box", place=(3, 3, 4, 4))
    shown = list(
        figures_of(image, sample_of(Boxes((box(1, (3, 3, 4, 4)),))), small, Classes(NAMES))
    )
    assert [caption.endswith("close up") for caption, _ in shown] == [False, False, True, True]


def test_masks_strokes_and_what_is_not_there_are_shown(tmp_path):
    write_label_map(tmp_path / "a.png", painted((1, *OBJECT)))
    image = np.full((*SIZE, 3), 90, np.uint8)
    classes = Classes(NAMES)
    masked = sample_of(MaskFile(tmp_path / "a.png"))
    (_, figure), *_ = figures_of(image, masked, finding("mask"), classes)
    assert near(figure, (109, 45, 45))  # half gray, half the dark red of class 1
    stroked = sample_of(Strokes((Scribble(1, ((25.0, 30.0), (45.0, 30.0)), 3),)))
    (_, figure), *_ = figures_of(image, stroked, finding("stroke"), classes)
    assert near(figure, (128, 0, 0))
    (caption, figure), (other, after) = figures_of(
        image, sample_of(Boxes(())), finding("image", annotated=0), classes
    )
    assert caption == "annotated: nothing here" and not near(figure, ANNOTATED)
    absent = finding("box", None, kind="no such object")
    (_, _), (other, after) = figures_of(image, masked, absent, classes)
    assert other == "suggested: no cow" and not near(after, SUGGESTED)


def test_the_command_writes_the_page_and_prints_the_number_of_findings(audit, capsys):
    assert wsseg("audit", audit.run, "--limit", 2) == 0
    said = capsys.readouterr()
    assert "4 findings on 4 of 8 images" in said.out and "index.html" in said.err
    assert len(list((audit.out / "pictures").glob("*-0.jpg"))) == 2
