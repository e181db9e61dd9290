"""A data set whose gray levels are its classes, and a network that reads them."""

import json
from pathlib import Path

import numpy as np
from helpers.running import working
from PIL import Image

from wsseg.data.annotation import Box
from wsseg.data.model import Classes, Sample
from wsseg.data.params import DataParams
from wsseg.networks.checkpoints import write_checkpoint
from wsseg.networks.params import SegmenterParams
from wsseg.networks.prediction import Segmenter
from wsseg.runs.config import Config
from wsseg.runs.run import open_run
from wsseg.stages.params import RoundParams

NAMES = ("background", "cow", "<b>sheep</b>", "cat")
CLASSES = Classes(NAMES)
SIZE = (60, 80)
SURE = 0.91
OBJECT = (20, 15, 50, 45)
"""Left, top, right, bottom of the object in every image."""


def scores_of(label_map, sure=SURE, n_classes=4):
    """Return probabilities (K, H, W): ``sure`` for the label, the rest evenly for the others."""
    scores = np.full((n_classes, *label_map.shape), (1 - sure) / (n_classes - 1), np.float32)
    np.put_along_axis(scores, label_map[None].astype(int), sure, 0)
    return scores


def painted(*places, size=SIZE):
    """Return a label map with rectangles (label, left, top, right, bottom)."""
    label_map = np.zeros(size, np.uint8)
    for label, left, top, right, bottom in places:
        label_map[top:bottom, left:right] = label
    return label_map


def sample_of(*annotations, id="a"):
    return Sample(id, Path(f"{id}.png"), SIZE, annotations, "train")


def box(label, place):
    return Box(label, *place)


def mark(label, place):
    left, top, right, bottom = place
    return {"type": "box", "class": NAMES[label], "points": [[left, top], [right, bottom]]}


def write_images(root, pages):
    """Write label maps as grayscale images, 50 levels per label, and marks as JSON Lines."""
    lines = [{"classes": list(NAMES)}]
    for name, (label_map, marks) in pages.items():
        path = root / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(label_map * 50).save(path)
        drawn = {"marks": marks} if marks else {"tags": []}
        lines.append({"image": f"{name}.png", "size": list(label_map.shape), **drawn})
    (root / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


class Reader(Segmenter):
    """Predicts the class of the gray level of a pixel."""

    def predict(self, image, _):
        return scores_of((image[..., 0] / 50).round().astype(np.uint8))


def reader(*_):
    return Reader(None, CLASSES, SegmenterParams())


def make_run(folder, root):
    """Return a run whose network is ``reader``."""
    data = DataParams(format="jsonl", root=root, weak="all", val=None)
    rounds = RoundParams(count=2)
    config = Config(
        run_dir=folder,
        data=data,
        machine={"workers": 1, "device": "cpu"},
        rounds=rounds,
        pipeline="weak",
    )
    with open_run(config) as run:
        for number in (1, 2):
            with working(run.stage(f"round-{number}/model", number=number)):
                content = {"kind": "segmenter", "classes": [*NAMES]}
                write_checkpoint(run.path / f"round-{number}" / "model" / "model.ckpt", content)
    return folder


def audited(folder):
    """Return a run on images of an object: 4 without and 4 with a label error, one of each kind."""
    shown = painted((2, *OBJECT))
    pages = {
        "right-1": (shown, [mark(2, OBJECT)]),
        "right-2": (shown, [mark(2, OBJECT)]),
        "right-3": (painted((3, *OBJECT)), [mark(3, OBJECT)]),
        "right-4": (painted((1, *OBJECT)), [mark(1, OBJECT)]),
        "mixed": (shown, [mark(1, OBJECT)]),
        "missing": (painted((2, *OBJECT), (3, 60, 5, 78, 25)), [mark(2, OBJECT)]),
        "absent": (shown, [mark(2, OBJECT), mark(1, (55, 5, 79, 55))]),
        "misfit": (shown, [mark(2, (32, 20, 62, 50))]),
    }
    return make_run(folder / "run", write_images(folder / "data", pages))
