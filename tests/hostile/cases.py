"""All hostile data sets by subject."""

from collections.abc import Callable

from hostile.changes import Change, fifo, folder, link, put
from hostile.drawn_cases import SHAPES
from hostile.image_cases import IMAGES, MASKS
from hostile.named_cases import NAMES, PATHS, TEXTS

CASES = {
    "Images": IMAGES,
    "Masks": MASKS,
    "Boxes, polygons and run lengths": SHAPES,
    "Paths": PATHS,
    "Names and ids": NAMES,
    "Texts": TEXTS,
}
"""Cases by subject."""

ANY_FILE: dict[str, Callable[[str], Change]] = {
    "empty": lambda name: put(name, b""),
    "a folder": folder,
    "a pipe": fifo,
    "a link to a file outside": lambda name: link(name, "../moved"),
    "NUL bytes": lambda name: put(name, bytes(100)),
}
"""Replacements of any file with annotations."""
