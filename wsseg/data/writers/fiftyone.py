"""Write label maps as a folder that FiftyOne imports and wsseg reads as JSON Lines."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from wsseg.data.annotation import MaskFile
from wsseg.data.model import Classes, Sample
from wsseg.data.writers.jsonl import write_jsonl
from wsseg.data.writers.regions import LabelledImage
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE

_FIELD = "labels"
_MASKS = Path("fields", _FIELD)  # FiftyOne resolves paths of this field in the data set


def write_fiftyone(
    folder: Path, classes: Classes, images: Iterable[LabelledImage], split: str
) -> None:
    """Write label maps as a ``fiftyone.types.FiftyOneDataset``, each file atomically.

    ``fields/labels/<id>.png`` holds the label map; ``samples.json`` lists the images with the
    segmentation ``labels``, their ``image_id``, the ``quality`` if it is known, and the split as a
    tag; ``metadata.json`` holds the names of the labels. These files have the older form without a
    version, which every version of FiftyOne reads. ``<split>.jsonl`` names the same masks for
    wsseg. Images are expected in ``images``; if one is not there, FiftyOne is given the path of the
    original.
    """
    samples, entries = list[Sample](), list[dict[str, Any]]()
    for image in images:
        sample, mask = image.sample, _MASKS / f"{image.sample.id}.png"
        with atomic_write(folder / mask) as file:
            # A grayscale PNG: FiftyOne takes the colours of a palette for labels.
            Image.fromarray(image.label_map).save(file, "png")
        entries.append(_entry(folder, image, mask, split))
        samples.append(replace(sample, annotations=(MaskFile(folder / mask),), split=split))
    _write_json(folder / "samples.json", {"samples": entries})
    targets = {str(label): name for label, name in enumerate(classes)} | {str(IGNORE): "ignore"}
    info = {"mask_targets": {_FIELD: targets}}
    _write_json(folder / "metadata.json", {"media_type": "image", "info": info})
    write_jsonl(folder / f"{split}.jsonl", classes, samples)


def _entry(folder: Path, image: LabelledImage, mask: Path, split: str) -> dict[str, Any]:
    copy, original = Path("images", image.file_name), image.sample.image
    return {
        "filepath": (copy if (folder / copy).exists() else original.resolve()).as_posix(),
        "tags": [split],
        "image_id": image.sample.id,
        _FIELD: {"_cls": "Segmentation", "mask_path": mask.as_posix()},
        **({} if image.quality is None else {"quality": image.quality}),
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1).encode())
