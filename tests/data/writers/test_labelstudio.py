import json
import re
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from urllib.request import Request, urlopen
from xml.etree import ElementTree

import numpy as np
from helpers.builders import write_image

import wsseg
from wsseg.data.formats.brush import brush_mask
from wsseg.data.model import Classes, Sample
from wsseg.data.writers.labelstudio import write_labelstudio
from wsseg.data.writers.regions import LabelledImage

CLASSES = Classes(("background", "cow"))
PAGE = Path(__file__).parents[3] / "docs" / "annotations.md"


def test_tasks_with_predictions(tmp_path):
    images = [
        LabelledImage(
            Sample("far away/ü", tmp_path / "x/a.png", (1, 5), (), "train"),
            np.array([[255, 0, 1, 0, 1]], np.uint8),
        ),
        LabelledImage(
            Sample("b", tmp_path / "x/b.png", (1, 2), (), "train"),
            np.zeros((1, 2), np.uint8),
            {1: 0.25},
        ),
    ]
    write_image(tmp_path / "out/images/far away/ü.png")
    write_labelstudio(tmp_path / "out", CLASSES, images, "train")
    first, second = json.loads((tmp_path / "out/train.json").read_text(encoding="utf-8"))
    assert first["data"]["image"] == "/data/local-files/?d=images/far%20away/%C3%BC.png"
    original = f"/data/local-files/?d={tmp_path.as_posix()[1:]}/x/b.png"
    assert second["data"]["image"] == original
    assert second["predictions"][0]["score"] == 0.25
    brushes = first["predictions"][0]["result"]
    found = [
        (b["value"]["brushlabels"], brush_mask(bytes(b["value"]["rle"]), (1, 5)).tolist())
        for b in brushes
    ]
    true, false = True, False
    assert found == [  # the background first, so that objects are in front
        (["background"], [[false, true, false, false, false]]),
        (["background"], [[false, false, false, true, false]]),
        (["cow"], [[false, false, true, false, false]]),
        (["cow"], [[false, false, false, false, true]]),
    ]
    assert len({brush["id"] for brush in brushes}) == 4
    sizes = {(brush["original_height"], brush["original_width"]) for brush in brushes}
    assert sizes == {(1, 5)}
    view = ElementTree.parse(tmp_path / "out/labels.xml").getroot()
    control = view.find("BrushLabels")
    assert (brushes[0]["from_name"], brushes[0]["to_name"]) == (
        control.get("name"),
        view.find("Image").get("name"),
    )
    assert [label.get("value") for label in control] == ["background", "cow"]


def test_the_backend_of_the_page_predicts(tmp_path, monkeypatch):
    """The server is a folder, and the network calls the left half of an image a cow."""

    def segment(image):
        label_map = np.zeros(image.shape[:2], np.uint8)
        label_map[:, : image.shape[1] // 2] = 1
        return SimpleNamespace(label_map=label_map, confidence=np.full(label_map.shape, 0.75))

    segment.classes = CLASSES
    monkeypatch.setattr(wsseg, "load_segmenter", lambda _: segment)
    monkeypatch.setenv("WSSEG_RUN", "runs/mine")
    monkeypatch.setenv("LABEL_STUDIO_URL", tmp_path.as_uri())
    monkeypatch.setenv("LABEL_STUDIO_TOKEN", "abc")
    write_image(tmp_path / "a.png", size=(3, 4))
    section = PAGE.read_text(encoding="utf-8").split("### Label Studio")[1].split("\n### ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    assert len(code.splitlines()) < 55
    start = 'HTTPServer(("localhost", 9090), Backend).serve_forever()'
    assert start in code
    names = {}
    exec(code.replace(start, 'backend = HTTPServer(("localhost", 0), Backend)'), names)
    with names["backend"] as backend:
        Thread(target=backend.handle_request).start()
        question = json.dumps({"tasks": [{"id": 1, "data": {"image": "/a.png"}}]}).encode()
        address = f"http://localhost:{backend.server_port}/predict"
        with urlopen(Request(address, question)) as reply:
            (result,) = json.loads(reply.read())["results"]
    assert result["score"] == 0.75
    masks = {
        tuple(brush["value"]["brushlabels"]): brush_mask(bytes(brush["value"]["rle"]), (3, 4))
        for brush in result["result"]
    }
    assert masks.keys() == {("background",), ("cow",)}
    assert masks["cow",].tolist() == [[True, True, False, False]] * 3
    assert (masks["background",] == ~masks["cow",]).all()
