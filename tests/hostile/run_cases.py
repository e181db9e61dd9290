"""Hostile input of runs: data sets, settings and weights."""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from helpers.formats import mask
from hostile.bombs import YAML_LAUGHS, Trap, pickled, png, zeros
from hostile.changes import Change, both, coco, fifo, link, put


@dataclass(frozen=True)
class RunCase:
    """A hostile input of the first stage of a run.

    Args:
        tried: The hostile property in words.
        format: A key of ``formats.FORMATS``.
        change: Applies the property to the data set.
        overrides: Settings; ROOT stands for the data set's folder.
        aside: Images that are skipped or left out; None if the run is refused.
        says: A part of the message.
    """

    tried: str
    format: str
    change: Change
    overrides: tuple[str, ...]
    aside: tuple[str, ...] | None
    says: str


def _seeds(content):
    return both(put("seeds/a.png", content), put("seeds/b.png", mask()))


_FOLDER = ("seeds.name=folder", "seeds.folder=ROOT/seeds")
_OVER = ("data.annotations=[ROOT/over]",)
RUNS = (
    RunCase(
        "image that claims 13,000 x 13,000 pixels",
        "coco",
        coco(image_height=13_000, image_width=13_000),
        (),
        ("a",),
        "of the annotated size",
    ),
    RunCase(
        "PNG that claims 50,000 x 50,000 pixels",
        "voc",
        put("JPEGImages/a.png", png(50_000, 50_000)),
        (),
        ("a",),
        "more than 178,956,970 pixels",
    ),
    RunCase("pipe named a.png", "voc", fifo("JPEGImages/a.png"), (), ("a",), "no regular file"),
    RunCase(
        "image linked to a file outside",
        "voc",
        link("JPEGImages/a.png", "../moved"),
        (),
        (),
        "skipped: a: ",
    ),
    RunCase(
        "the same in a strict run",
        "voc",
        link("JPEGImages/a.png", "../moved"),
        ("strict=true",),
        None,
        "set strict=false",
    ),
    RunCase(
        "pickle in the folder of label maps",
        "voc",
        _seeds(pickle.dumps(1)),
        _FOLDER,
        ("a",),
        "a readable label map",
    ),
    RunCase(
        "label map that claims 50,000 x 50,000 pixels",
        "voc",
        _seeds(png(50_000, 50_000)),
        _FOLDER,
        ("a",),
        "more than 178,956,970 pixels",
    ),
    RunCase(
        "label map of another size",
        "voc",
        _seeds(png(5, 4, pixels=zeros(24))),
        _FOLDER,
        ("a",),
        "of the image's size",
    ),
    RunCase(
        "pipe in the folder of label maps",
        "voc",
        both(_seeds(b""), fifo("seeds/a.png")),
        _FOLDER,
        ("a",),
        "no regular file",
    ),
    RunCase(
        "annotations that are a pickle",
        "voc",
        put("over", pickle.dumps({})),
        _OVER,
        None,
        "of a known format",
    ),
    RunCase(
        "annotations that are a pipe",
        "voc",
        both(put("over", b""), fifo("over")),
        _OVER,
        None,
        "of a known format",
    ),
    RunCase(
        "annotations that are an empty folder",
        "voc",
        lambda root: (root / "over").mkdir(),
        _OVER,
        None,
        "of a known format",
    ),
)


SETTINGS_FILES = {
    "aliases of aliases": f"{YAML_LAUGHS}pipeline: *i\n",
    "an alias of itself": "pipeline: &a [*a]\n",
    "a tag that makes an object": "pipeline: !!python/object/apply:os.mkdir [never]\n",
    "100,000 levels": "pipeline: " + "[" * 100_000,
    "NUL bytes": "\0\0\0",
    "bytes of no encoding": "pipeline: \udcff\udcfe",
    "nothing": "",
    "a list": "- 1\n- 2\n",
    "numbers of any size": f"pipeline: weak\nseed: {10**400}\n",
}
"""Content by description."""


def _archive(marker):
    """Return a file of torch with a pickle that must never be loaded."""
    file = io.BytesIO()
    torch.save({"state_dict": {"a": Trap(marker)}, "classes": [], "model": {}}, file)
    return file.getvalue()


def _of_another(_):
    """Return a valid file of another object."""
    file = io.BytesIO()
    content = {"state_dict": {"a": torch.zeros(1)}, "classes": ["background", 7], "model": {"x": 1}}
    torch.save(content, file)
    return file.getvalue()


WEIGHTS: dict[str, Callable[[Path], bytes]] = {
    "a pickle": pickled,
    "a pickle in torch's archive": _archive,
    "nothing": lambda _: b"",
    "a whole one of no network": _of_another,
}
"""Content by description; each receives a path that must not be created."""
