"""Real annotation tools, each in an environment of its own: ``make test-tools``."""

import json
import os
import subprocess

import numpy as np
import pytest
from helpers.tools import CLASSES, SIZE, TOOLS
from PIL import Image

from wsseg.data.model import Sample
from wsseg.data.writers.regions import LabelledImage
from wsseg.labelmaps import IGNORE
from wsseg.stages.export import WRITERS


@pytest.fixture(scope="session")
def tool():
    """Return a function that runs a script with the Python of a tool and returns what it prints.

    The script prints one JSON value in its last line. The test is skipped without the tool.
    """

    def run(name, script, *arguments, timeout=300, **environment):
        python = TOOLS / name / "bin" / "python"
        if not python.exists():
            pytest.skip(f"{name} is not installed in {TOOLS}; call make test-tools")
        command = [str(python), "-c", script, *map(str, arguments)]
        variables = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=variables | environment,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def label_maps():
    """Label maps by image id: discs with holes, a square, unknown pixels, folders in names."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    maps = {}
    for number, id in enumerate(("a", "b", "far away/a")):
        drawn = np.zeros(SIZE, np.uint8)
        distance = np.hypot(columns - 40 - 3 * number, rows - 45)
        drawn[distance < 25] = 1
        drawn[distance < 8] = 0
        drawn[50:80, 80 : 110 - 5 * number] = 2
        drawn[:6, :20] = IGNORE
        maps[id] = drawn
    maps["empty"] = np.zeros(SIZE, np.uint8)
    return maps


@pytest.fixture
def originals(label_maps, tmp_path):
    """A folder of images, the originals."""
    for seed, id in enumerate(label_maps):
        path = tmp_path / "originals" / f"{id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "originals"


@pytest.fixture
def export(label_maps, originals, tmp_path):
    """Return a function that writes the label maps in a format, with copies of the images."""

    def write(to, *, images=True, ids=None):
        writer, place = WRITERS[to]
        out = tmp_path / f"export-{to}"
        labelled = []
        for id in ids or label_maps:
            original = originals / f"{id}.png"
            if images:
                copy = out / place.format(split="train") / f"{id}.png"
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(original.read_bytes())
            sample = Sample(id, original, SIZE, (), "train")
            labelled.append(LabelledImage(sample, label_maps[id]))
        writer(out, CLASSES, labelled, "train")
        return out

    return write
