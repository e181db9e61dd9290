"""CPU seconds to read a data set of many VOC XML files, against ElementTree on the same files.

    python benchmarks/reading.py --files 17000

The files are generated in a temporary folder, as large as those of Pascal VOC; images are headers
of 500 x 375 pixels. ``check`` is what ``wsseg check --fast`` does beside printing.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from wsseg.data.check import check_dataset
from wsseg.data.params import DataParams
from wsseg.data.truth import load

NAMES = ("cow", "sheep", "person", "car")
KEYS = ("xmin", "ymin", "xmax", "ymax")


def write_voc(root: Path, count: int) -> None:
    """Write a VOC folder of so many images with two to four boxes each; one in ten is for "val"."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    (root / "labelmap.txt").write_text("".join(f"{n}:::\n" for n in ("background", *NAMES)))
    image = root / "JPEGImages" / "image.jpg"
    Image.new("RGB", (500, 375)).save(image)
    content, rng, ids = image.read_bytes(), np.random.default_rng(0), []
    image.unlink()
    for number in range(count):
        id = f"2008_{number:06d}"
        # a comment of its own makes each image another file
        (root / "JPEGImages" / f"{id}.jpg").write_bytes(content + id.encode())
        (root / "Annotations" / f"{id}.xml").write_text(_xml(id, rng))
        ids.append(id)
    for split, part in (("train", ids[count // 10 :]), ("val", ids[: count // 10])):
        path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        path.write_text("".join(f"{id}\n" for id in part))


def _xml(id: str, rng: np.random.Generator) -> str:
    objects = ""
    for _ in range(rng.integers(2, 5)):
        left, top = rng.integers(1, 200, 2)
        edges = (left, top, *(np.array([left, top]) + rng.integers(20, 170, 2)))
        box = "".join(f"\t\t<{k}>{v}</{k}>\n" for k, v in zip(KEYS, edges, strict=True))
        head = f"\t<name>{NAMES[rng.integers(len(NAMES))]}</name>\n\t<pose>Left</pose>\n"
        flags = "\t<truncated>0</truncated>\n\t<difficult>0</difficult>\n"
        objects += f"\t<object>\n{head}{flags}\t<bndbox>\n{box}\t</bndbox>\n\t</object>\n"
    size = "\t<size><width>500</width><height>375</height><depth>3</depth></size>\n"
    source = "\t<source><database>The VOC2008 Database</database></source>\n"
    name = f"\t<folder>VOC2012</folder>\n\t<filename>{id}.jpg</filename>\n"
    return f"<annotation>\n{name}{source}{size}\t<segmented>0</segmented>\n{objects}</annotation>\n"


def seconds(function: Callable[[], object]) -> float:
    """Return how many seconds of the CPU a call takes, so that other programs do not count."""
    started = time.process_time()
    function()
    return time.process_time() - started


def main() -> None:
    """Generate the files, read them, and print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=17_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wsseg-reading-") as folder:
        root = Path(folder) / "voc"
        write_voc(root, arguments.files)
        paths = sorted((root / "Annotations").iterdir())
        peer = seconds(lambda: [ElementTree.parse(path) for path in paths])
        print(f"{'ElementTree.parse':<24}{peer:8.2f} s")
        for name, function in (
            ("load (weak and truth)", lambda: load(DataParams(root=root))),
            ("check, headers only", lambda: check_dataset(root, deep=False, workers=1)),
        ):
            taken = seconds(function)
            print(f"{name:<24}{taken:8.2f} s{taken / peer:8.2f} x")


if __name__ == "__main__":
    main()
