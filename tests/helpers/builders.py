"""Small files and samples for tests."""

import json
from pathlib import Path

import yaml
from PIL import Image

from wsseg.data.model import Sample
from wsseg.networks.params import SegmenterParams


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


def tags_of(dataset):
    """Return the tags of each image by its id."""
    return {sample.id: sample.tags for sample in dataset.samples}


def kinds(dataset):
    """Return the kinds of the problems of a data set, in order."""
    return [problem.kind for problem in dataset.problems]


def transformer(architecture, **changes):
    """Return the settings of a tiny transformer with register tokens and patches of 14 pixels."""
    small = {"decoder_intermediate_channels": [8] * 4, "decoder_fusion_channels": 8}
    values = {
        "architecture": architecture,
        "encoder": "tu-vit_small_patch14_reg4_dinov2",
        "encoder_kwargs": {"embed_dim": 24, "num_heads": 2, "depth": 4, "img_size": 42},
        "weights": None,
        "decoder_kwargs": small if architecture == "DPT" else {},
    }
    return SegmenterParams.model_validate({**values, **changes})


TINY = {
    "run_dir": "unset",
    "machine": {"workers": 1, "device": "cpu", "checkpoint_every": 3},
    "data": {"format": "voc", "root": "unset", "weak": "boxes"},
    "crf": {"iterations": 2},
    "model": {
        "architecture": "Unet",
        "encoder": "tu-mobilenetv3_small_050",
        "weights": None,
        "decoder_kwargs": {"decoder_channels": [32, 16, 16, 8, 8]},
    },
    "trainer": {"steps": 8, "batch_size": 4, "crop": [48, 48]},
    "prediction": {"scales": [1.0], "flip": False},
}
"""Settings of a run of seconds on small scenes."""


def write_settings(path, **groups):
    """Write the settings ``TINY``, with values of each group replaced, and return the path."""
    settings = dict(TINY)
    for name, values in groups.items():
        is_group = isinstance(values, dict)
        settings[name] = {**settings.get(name, {}), **values} if is_group else values
    return write(path, yaml.safe_dump(settings))
