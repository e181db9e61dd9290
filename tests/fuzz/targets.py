"""Targets of the fuzzer: readers, their valid input, and the errors that they may raise."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from helpers.formats import FORMATS, encoded, image_bytes, mask, readings, used
from PIL import Image

from wsseg.data.formats.paths import safe_name
from wsseg.errors import InputError
from wsseg.images import image_size, read_header, read_image
from wsseg.labelmaps import read_label_map, read_scores, write_scores
from wsseg.runs.config import load_config

_CONFIG = b"""pipeline: weak
run_dir: runs/x
data: {format: voc, root: data, annotations: [a.jsonl]}
seeds: {name: box}
trainer: {steps: 12, batch_size: 4, crop: [48, 48], loss: {cross_entropy: 1.0}}
rounds: {count: 2}
"""


@dataclass(frozen=True)
class Target:
    """A reader.

    Args:
        seeds: Valid input, from which mutations start.
        read: Given the input, returns, or raises what counts as a finding.
    """

    seeds: list[bytes]
    read: Callable[[bytes], None]


def _data_set(small):
    """Use the first byte to choose a file of the data set, and the rest as its content."""
    root = small.write(Path(tempfile.mkdtemp()))

    def read(data):
        name = small.drawn[data[0] % len(small.drawn)] if data else small.drawn[0]
        (root / name).write_bytes(data[1:])
        for dataset in readings(small, root):
            used(dataset)
        (root / name).write_bytes(small.files[name])

    return Target([bytes([i]) + small.files[name] for i, name in enumerate(small.drawn)], read)


def _names(small):
    """Use the lines as names of the images."""
    root = Path(tempfile.mkdtemp())

    def read(data):
        shutil.rmtree(root)
        root.mkdir()
        for line in data.split(b"\n")[:8]:
            name = line.decode("utf-8", "surrogateescape")
            try:
                path = root / safe_name(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(image_bytes())
            except (InputError, OSError, ValueError):  # no such file can be
                continue
        for dataset in readings(small, root):
            used(dataset)

    return Target(["\n".join(small.drawn).encode()], read)


def _file(name, seeds, *functions):
    path = Path(tempfile.mkdtemp()) / name

    def read(data):
        path.write_bytes(data)
        for function in functions:
            try:
                function(path)
            except InputError:
                continue

    return Target(seeds, read)


def _image_files():
    """Return an image in each file format."""
    deep = np.arange(48, dtype=np.uint16).reshape(6, 8) * 999
    of = Image.fromarray
    plain, exif = of(np.uint8(deep % 251)), Image.Exif()
    exif[0x0112] = 6
    return [
        *(encoded(plain, suffix, exif=exif) for suffix in ("jpg", "png", "tiff", "webp")),
        *(encoded(plain.convert("CMYK"), suffix) for suffix in ("jpg", "tiff")),
        *(encoded(of(deep), suffix) for suffix in ("png", "tiff")),
        encoded(plain, "bmp"),
        encoded(plain, "gif", save_all=True, append_images=[plain]),
    ]


def _scores():
    path = Path(tempfile.mkdtemp()) / "scores.npz"
    write_scores(path, (1, 3), np.random.default_rng(0).random((2, 3, 4)))
    return path.read_bytes()


TARGETS = {
    **{name: partial(lambda make: _data_set(make()), make) for name, make in FORMATS.items()},
    "folders": lambda: _names(FORMATS["folders"]()),
    "image": lambda: _file("a.jpg", _image_files(), read_image, image_size, read_header),
    "label_map": lambda: _file("a.png", [mask()], read_label_map),
    "scores": lambda: _file("a.npz", [_scores()], read_scores),
    "config": lambda: _file("a.yaml", [_CONFIG], load_config),
}
"""Targets by name."""
