"""Class names and image names that are HTML, JavaScript or markup: every output shows them as text.

All commands that write pages run on scenes whose names are such; the pages are parsed, and opened
in Chromium, where nothing of the names may run.
"""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest
from helpers.running import wsseg

from wsseg.data.formats.table import read_dataset
from wsseg.synthetic.scenes import CLASSES

ATTACK = "window.__pwned=1"
NAMES = dict(
    zip(
        CLASSES.names[1:],
        (
            f"<script>{ATTACK}</script>",
            f'"onmouseover={ATTACK} x="',
            f"</script><script>{ATTACK}</script>",
            f"<img src=x onerror={ATTACK}>",
            "[red]a&b&lt;[/red] {{ 7*7 }} ${7*7}",
        ),
        strict=True,
    )
)
IDS = {
    "train-0000": "a/<blink>bold<blink>",
    "train-0001": f"<img src=x onerror={ATTACK}>",
    "train-0002": "'\"&amp;",
    "train-0003": f"x<{'/'}script><script>{ATTACK}",
    "train-0004": "[red]=1+1",
    "train-0005": "{{ 7*7 }}${7*7}#?%3Cb%3E",
    "val-0000": f"\" onload={ATTACK} '",
}
OVER_EVERYTHING = """
for (const each of document.querySelectorAll("*"))
  for (const kind of ["mouseover", "load", "error"]) each.dispatchEvent(new Event(kind));
"""
DATA, MINE, OTHER = "<blink>data", "run <blink>mine", 'run\'s <blink>"other"&'


class Elements(HTMLParser):
    """Elements, attributes and scripts of a page, parsed as by a browser."""

    def __init__(self, page):
        super().__init__()
        self.names, self.scripts, self.texts = list[str](), list[str](), ""
        self.attributes = list[tuple[str, str | None]]()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts.append(data)
        else:
            self.texts += data


def renamed(scenes, root):
    """The scenes under other names."""
    shutil.copytree(scenes, root)
    shutil.rmtree(root / "ImageSets" / "Main")
    for old, new in IDS.items():
        for path in [*root.rglob(f"{old}.*")]:
            target = path.parent / f"{new}{path.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    for path in root.rglob("*.txt"):
        path.write_text("".join(f"{IDS.get(id, id)}\n" for id in path.read_text().splitlines()))
    lines = "".join(f"{name}:::\n" for name in ("background", *NAMES.values()))
    (root / "labelmap.txt").write_text(lines)
    for path in root.rglob("*.xml"):
        tree = ElementTree.parse(path)
        for name in tree.iter("name"):
            name.text = NAMES[name.text or ""]
        tree.write(path)
    return root


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, scenes, config_file):
    """A folder with a run, another that it is compared with, and all that comes of them."""
    folder = tmp_path_factory.mktemp("names")
    root = renamed(scenes, folder / DATA)
    for name in (MINE, OTHER):
        more = ["rounds.count=1", f"run_dir={folder / name}", f"data.root={root}"]
        seed = ["trainer.steps=4", "rounds.clean=false" if name == OTHER else "seed=0"]
        assert wsseg("run", config_file, *more, *seed) == 0
    run = folder / MINE
    settings = ["--config", config_file, "--encoder", "model", "--workers", 1]
    assert wsseg("report", run, "--compare", folder / OTHER) == 0
    assert wsseg("compare", run, folder / OTHER, "--out", folder / "compared") == 0
    assert wsseg("select", root, "--budget", 3, "--out", folder / "chosen", *settings) == 0
    assert wsseg("audit", run, "--min-score", 0) == 0
    for to in ("voc", "coco", "cvat", "fiftyone"):
        assert wsseg("export", run, folder / to, "--to", to, "--images", "none") == 0
    return folder


def pages(folder):
    return sorted(folder.rglob("*.html"))


def test_every_command_writes_its_pages(outputs):
    found = [str(page.relative_to(outputs)) for page in pages(outputs)]
    folders = [f"{MINE}/report", f"{MINE}/report/against-{OTHER}", f"{MINE}/audit"]
    folders += [f"{OTHER}/report", "compared", "chosen"]
    assert {f"{folder}/index.html" for folder in folders} <= {*found}
    assert len([name for name in found if name.endswith("/images.html")]) == 3


def test_pages_hold_no_element_and_no_attribute_of_a_name(outputs):
    for path in pages(outputs):
        page = Elements(path.read_text())
        assert "main" in page.names and not {"blink", "marquee"} & {*page.names}, path
        assert not [name for name, _ in page.attributes if name.startswith("on")], path
        assert ("src", "x") not in page.attributes, path
        assert ATTACK not in [script.strip() for script in page.scripts], path


def test_pages_show_names_as_they_are(outputs):
    report = Elements((outputs / MINE / "report/index.html").read_text()).texts
    assert all(name in report for name in (*NAMES.values(), MINE))
    audit = Elements((outputs / MINE / "audit/index.html").read_text()).texts
    assert all(IDS[id] in audit for id in IDS if id.startswith("train"))
    chosen = Elements((outputs / "chosen/index.html").read_text()).texts
    ids = (outputs / "chosen/selected.txt").read_text().splitlines()
    assert len(ids) == 3 and all(id in chosen for id in ids)
    against = Elements((outputs / MINE / f"report/against-{OTHER}/index.html").read_text()).texts
    assert all(name in against for name in (*NAMES.values(), MINE, OTHER))


def test_files_of_data_are_json_of_ascii(outputs):
    files = [*outputs.rglob("images/*.js")]
    assert len(files) > 6
    for path in files:
        text = path.read_text()
        assert text.isascii()
        (content,) = re.findall(r"^wsseg\.\w+\((.*)\);\n$", text, re.DOTALL)
        json.loads(f"[{content}]")


def test_exports_are_read_back_with_the_same_names(outputs):
    page = json.loads(next((outputs / "coco").rglob("*.json")).read_text())
    assert [each["name"] for each in page["categories"]] == [*NAMES.values()]
    expected = {f"{IDS[id]}.png" for id in IDS if id.startswith("train")}
    assert {each["file_name"] for each in page["images"]} == expected
    tree = ElementTree.parse(outputs / "cvat" / "annotations.xml")
    assert {each.get("name") for each in tree.iter("image")} == expected
    assert {*NAMES.values()} <= {each.text for each in tree.iter("name")}
    with (outputs / "chosen/selected.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 3 and {row["id"] for row in rows} <= {*IDS.values()}
    findings = pd.read_csv(next(outputs.rglob("audit/findings.csv")))
    assert {*findings["image"]} <= {*IDS.values()}


def test_terminal_shows_names_as_they_are(outputs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert wsseg("check", outputs / DATA) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES.values())
    assert wsseg("report", outputs / MINE, "--text") == 0
    said = capsys.readouterr().out
    assert all(IDS[id] in said for id in IDS if id.startswith("train"))


def test_names_are_those_of_the_data_set(outputs):
    dataset = read_dataset(outputs / DATA, "voc", ["train"])
    assert dataset.classes.names[1:] == tuple(NAMES.values())
    assert {sample.id for sample in dataset.samples} == {
        IDS[id] for id in IDS if id.startswith("train")
    }


def test_nothing_of_a_name_runs_in_a_browser(outputs, browser):
    for path in pages(outputs):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
        page, said = context.new_page(), list[str]()
        page.on("dialog", lambda dialog, said=said: said.append(dialog.message))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_load_state("load")
        page.evaluate(OVER_EVERYTHING)
        if path.name == "images.html":
            page.wait_for_selector(".image canvas")
            page.locator(".image").first.click()
            page.wait_for_selector("#strip button")
        assert page.evaluate("window.__pwned") is None, path
        assert said == [], path
        context.close()
