"""All hostile data sets, by what is hostile about them."""

from hostile.drawn_cases import SHAPES
from hostile.image_cases import IMAGES, MASKS
from hostile.named_cases import NAMES, PATHS, TEXTS

CASES = {
    "Images": IMAGES,
    "Masks": MASKS,
    "Boxes, outlines and run lengths": SHAPES,
    "Paths": PATHS,
    "Names and ids": NAMES,
    "Texts": TEXTS,
}
"""Cases by what they are about."""
