"""Label maps as a folder that FiftyOne imports, and that wsseg reads as JSON Lines."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsseg.data.model import Classes, MaskFile, Sample
from wsseg.data.writers.estimates import Estimates, quality_of
from wsseg.data.writers.jsonl import write_jsonl
from wsseg.data.writers.regions import LabelledImages
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE

_FIELD = "labels"
_MASKS = Path("fields", _FIELD)  # FiftyOne takes paths of this field as relative to the data set


def write_fiftyone(
    folder: Path,
    classes: Classes,
    labelled: LabelledImages,
    split: str,
    estimates: Estimates | None = None,
) -> None:
    """Write label maps as a ``fiftyone.types.FiftyOneDataset``, each file atomically.

    ``fields/labels/<id>.png`` holds the label map, ``samples.json`` the images with the
    segmentation ``labels``, the float ``quality`` where it is known, and the split as a tag, and
    ``metadata.json`` the names of the labels. These files are of the older form without a version,
    which every FiftyOne reads. ``<split>.jsonl`` names the same masks for wsseg. Images are
    expected in ``images``; FiftyOne is led to the original of one that is not there.

    Args:
        folder: The data set's folder.
        classes: The class names.
        labelled: Images and label maps (H, W) uint8, IGNORE where unknown.
        split: Name of the tag and of the JSON Lines.
        estimates: Of the labels.
    """
    samples, entries = list[Sample](), list[dict[str, Any]]()
    for sample, label_map in labelled:
        mask = _MASKS / f"{sample.id}.png"
        _write_mask(folder / mask, label_map)
        quality = quality_of((estimates or {}).get(sample.id, {}))
        entries.append(_entry(folder, sample, mask, split, quality))
        samples.append(replace(sample, annotations=(MaskFile(folder / mask),), split=split))
    _write_json(folder / "samples.json", {"samples": entries})
    _write_json(folder / "metadata.json", {"media_type": "image", "info": _info(classes)})
    write_jsonl(folder / f"{split}.jsonl", classes, samples)


def _write_mask(path: Path, label_map: NDArray[np.uint8]) -> None:
    """Write a grayscale PNG; of one with a palette FiftyOne takes the colours for the labels."""
    with atomic_write(path) as file:
        Image.fromarray(label_map).save(file, "png")


def _entry(
    folder: Path, sample: Sample, mask: Path, split: str, quality: float | None
) -> dict[str, Any]:
    image = Path("images", f"{sample.id}{sample.image.suffix}")
    return {
        "filepath": (image if (folder / image).exists() else sample.image.resolve()).as_posix(),
        "tags": [split],
        _FIELD: {"_cls": "Segmentation", "mask_path": mask.as_posix()},
        **({} if quality is None else {"quality": quality}),
    }


def _info(classes: Classes) -> dict[str, Any]:
    targets = {str(label): name for label, name in enumerate(classes)} | {str(IGNORE): "ignore"}
    return {"mask_targets": {_FIELD: targets}}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1).encode())
