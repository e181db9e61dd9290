"""Exports for Label Studio in which a person accepts every prediction."""

import json
from xml.etree import ElementTree

from wsseg.data.load import with_annotations
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.images import image_size


def accept(root, split="train"):
    """Write the tasks of an export as Label Studio exports them, and return the path."""
    tasks = json.loads((root / f"{split}.json").read_text(encoding="utf-8"))
    for task in tasks:
        (prediction,) = task.pop("predictions")
        task["annotations"] = [{"result": prediction["result"]}] if prediction["result"] else []
    (root / "accepted").mkdir(exist_ok=True)
    path = root / "accepted" / f"{split}.json"
    path.write_text(json.dumps(tasks))
    return path


def accepted(root, size=None):
    """Return the images of an export with the accepted predictions as annotations.

    Args:
        size: Of all images, which are then not opened.
    """
    interface = ElementTree.parse(root / "labels.xml")
    classes = Classes(tuple(label.get("value") for label in interface.iter("Label")))
    folder = root / "images"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    bare = (
        Sample(
            file.relative_to(folder).as_posix().removesuffix(file.suffix),
            *(file, size or image_size(file), (), "train"),
        )
        for file in files
    )
    return with_annotations(Dataset(classes, tuple(bare)), [accept(root)])
