"""Annotations of an image: frozen values, validated when they are created."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.data.custom import CustomAnnotation
from wsseg.data.strokes import Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map


@dataclass(frozen=True)
class Box:
    """One box around one object, in pixels of the upright image.

    Args:
        label: Class, 1 to 254.
        left, top: First column and row inside.
        right, bottom: First column and row beyond the box.
        crowd: True if the box contains a group of objects (COCO ``iscrowd``).

    Raises:
        InputError: The box is empty or inverted, or the label is not a class.
    """

    label: int
    left: int
    top: int
    right: int
    bottom: int
    crowd: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.label < IGNORE:
            raise InputError("box label", "a class from 1 to 254", self.label, "correct the class")
        if not (0 <= self.left < self.right and 0 <= self.top < self.bottom):
            got = f"({self.left}, {self.top}, {self.right}, {self.bottom})"
            rule = "inside the image with left < right and top < bottom"
            raise InputError("box", rule, got, "correct its corners")

    @property
    def area(self) -> int:
        """Number of pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box's pixels in an (H, W) array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Boxes:
    """A box around every object of an image; an empty tuple means that there is no object."""

    items: tuple[Box, ...]


@dataclass(frozen=True)
class Tags:
    """The classes that an image shows, without their location; every other class is absent.

    Args:
        present: Labels from 1 to 254; an empty tuple means that there is no object.
        unsure: Labels that may be present or not, such as VOC's "difficult" ones.

    Raises:
        InputError: A label is not a class, or both present and unsure.
    """

    present: tuple[int, ...]
    unsure: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for label in (*self.present, *self.unsure):
            if not 1 <= label < IGNORE:
                raise InputError("tag", "a class from 1 to 254", label, "correct the class")
        if both := sorted({*self.present} & {*self.unsure}):
            raise InputError("tag", "present or unsure", f"{both[0]} as both", "remove one")


@dataclass(frozen=True)
class MaskFile:
    """A full label map on disk: a palette or grayscale PNG of the image's size, or one of colours.

    Args:
        labels: The label of each value of the file, where ``data.classes`` changes them; larger
            values stay as they are. None: the values are the labels.
        colours: For a file of colours: the RGB colour of each value. Other colours are IGNORE.
    """

    path: Path
    labels: tuple[int, ...] | None = None
    colours: tuple[tuple[int, int, int], ...] | None = None

    def read(self) -> NDArray[np.uint8]:
        """Return the label map (H, W) uint8; see ``read_label_map``."""
        return read_label_map(self.path, self.labels, self.colours)


@dataclass(frozen=True)
class Region:
    """The pixels of one object.

    Args:
        label: Class, 1 to 254; in a partial mask also 0, the background.
        polygons: Polygons, each (x0, y0, x1, y1, ...) in pixels; their union is the object.
        rle: COCO run lengths ("size" (H, W) and "counts"), used if there are no polygons.
        crowd: True if the region contains a group of objects; its pixels are IGNORE.
    """

    label: int
    polygons: tuple[tuple[float, ...], ...] = ()
    rle: tuple[tuple[int, int], bytes | tuple[int, ...]] | None = None
    crowd: bool = False


@dataclass(frozen=True)
class Regions:
    """The objects of an image as regions of pixels.

    Args:
        partial: If False, the rest of the image is background; if True, it is unlabelled.
        closed: Partial masks: whether every class that the image shows has a mark.
    """

    items: tuple[Region, ...]
    partial: bool = False
    closed: bool = True


@dataclass(frozen=True)
class Unknown:
    """Classes that an image may show, although none of its other annotations says so.

    It replaces an annotation that cannot be used, such as a box without corners.

    Args:
        labels: Classes, 1 to 254; an empty tuple means any class of the data set.
        area: (left, top, right, bottom) in pixels, as of ``Box``, where they may be; None is the
            whole image.
    """

    labels: tuple[int, ...] = ()
    area: tuple[int, int, int, int] | None = None

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the area's pixels in an (H, W) array."""
        if self.area is None:
            return slice(None), slice(None)
        left, top, right, bottom = self.area
        return slice(top, bottom), slice(left, right)


Annotation = Tags | Boxes | Strokes | MaskFile | Regions | CustomAnnotation | Unknown
