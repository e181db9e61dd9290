"""Small files and samples for tests."""

import json
from pathlib import Path

from PIL import Image

from wsseg.data.model import Sample


def write(path, content=""):
    """Write text, bytes, or anything else as JSON, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_image(path, size=(30, 40)):
    """Write a black image of (H, W) pixels, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1]).save(path)
    return path


def sample(*annotations, id="a", size=(30, 40), split="train"):
    """Return a sample whose image does not exist."""
    return Sample(id, Path(f"{id}.jpg"), size, annotations, split)


def only_sample(dataset):
    """Return the sample of a data set that must have one."""
    (only,) = dataset.samples
    return only


def kinds(dataset):
    """Return the kinds of the problems of a data set, in order."""
    return [problem.kind for problem in dataset.problems]
