"""Class names that stand in a file of their own, in the order of their labels."""

from pathlib import Path
from typing import Any

from wsseg.data.formats.files import read_json, read_names
from wsseg.data.formats.paths import inside
from wsseg.data.formats.reading import is_background
from wsseg.data.formats.voc_xml import label_map_names
from wsseg.errors import InputError


def listed_names(root: Path) -> list[str]:
    """Return the names in the lines of classes.txt, none if there is no such file.

    Raises:
        InputError: The file is damaged, names no class, or names the background last.
    """
    path = root / "classes.txt"
    if not path.is_file():
        return []
    names = read_names(inside(path, root))
    if any(is_background(name) for name in names[1:]):
        raise InputError(path, "begun by background", f"{names[0]!r} first", "put it first")
    if all(is_background(name) for name in names):
        raise InputError(f"classes in {path}", "1 to 254 names", "none", "name the classes")
    return names


def names_of_masks(root: Path) -> list[str]:
    """Return the names in classes.txt, labelmap.txt or dataset.json of nnU-Net, none without them.

    The last one may be "ignore", of pixels that are not labelled.

    Raises:
        InputError: A file is damaged.
    """
    if names := listed_names(root):
        return names
    label_map, dataset = root / "labelmap.txt", root / "dataset.json"
    if label_map.is_file():
        return label_map_names(label_map, root)
    if dataset.is_file():
        rule = "JSON of nnU-Net with 'labels'"
        labels = read_json(inside(dataset, root), rule, dict).get("labels")
        return _names_of_labels(labels, dataset)
    return []


def _names_of_labels(labels: Any, path: Path) -> list[str]:
    """Return the names in {"background": 0, "cow": 1}, or {"0": "background", "1": "cow"}."""
    pairs = labels.items() if isinstance(labels, dict) else ()
    numbered = {value: key for key, value in pairs if isinstance(value, int)} or {
        int(key): value for key, value in pairs if key.isdecimal() and isinstance(value, str)
    }
    if not pairs or len(numbered) < len(pairs) or sorted(numbered) != [*range(len(numbered))]:
        rule, remedy = "'labels' with one name for each number from 0", "write classes.txt instead"
        raise InputError(path, rule, f"{labels!r:.80}", remedy)
    return [numbered[number] for number in sorted(numbered)]
