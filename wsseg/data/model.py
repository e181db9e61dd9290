"""Samples, classes and annotations: frozen values, validated when they are made."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wsseg.data.custom import CustomAnnotation
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError, printable
from wsseg.labelmaps import IGNORE

if TYPE_CHECKING:
    from wsseg.data.example import Example


@dataclass(frozen=True)
class Classes:
    """The class names of a data set, background first.

    Args:
        names: At most 255 distinct names; ``names[0]`` is the background.

    Raises:
        InputError: Too few or too many names, or one that stands twice.

    Example:
        >>> Classes(("background", "cow", "sheep")).index("sheep")
        2
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.names) <= IGNORE:
            rule = "the background and 1 to 254 classes"
            raise InputError("classes", rule, f"{len(self.names)} names", "name the classes")
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise InputError("classes", "distinct", f"{twice[0]!r} twice", "remove one of them")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def index(self, name: str) -> int:
        """Return the label of a class.

        Args:
            name: One of the names.

        Returns:
            Its label, 0 for the background.

        Raises:
            InputError: The name is unknown; the message suggests the nearest one.
        """
        if name not in self.names:
            nearest = difflib.get_close_matches(name, self.names, 1) or self.names[:8]
            raise InputError("class", "a known class", repr(name), f"did you mean {nearest[0]!r}?")
        return self.names.index(name)


@dataclass(frozen=True)
class Box:
    """One box around one object, in pixels of the upright image.

    Args:
        label: The class, 1 to 254.
        left: First column inside.
        top: First row inside.
        right: First column to the right of the box.
        bottom: First row below the box.
        crowd: True where the box holds many objects and much besides (COCO ``iscrowd``).

    Raises:
        InputError: The box is empty, inverted or not finite, or the label is no class.
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
        """Pixels inside."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box's pixels in an (H, W) array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Boxes:
    """Every object of an image, each in a box; an empty tuple says that there is none.

    Args:
        items: The boxes.
    """

    items: tuple[Box, ...]


@dataclass(frozen=True)
class Tags:
    """The classes that an image shows, by name only: every other class is absent.

    Args:
        present: Labels from 1 to 254; an empty tuple says that there is no object.
        unsure: Labels that may be there or not, such as VOC's "difficult" ones.

    Raises:
        InputError: A label is no class, or both present and unsure.
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
    """A full label map on disk.

    Args:
        path: Palette or grayscale PNG of the image's size.
    """

    path: Path


@dataclass(frozen=True)
class Region:
    """The pixels of one object.

    Args:
        label: The class, 1 to 254; of a partial mask also 0, the background.
        polygons: Outlines, each (x0, y0, x1, y1, ...) in pixels; their union is the object.
        rle: COCO run lengths ("size" (H, W) and "counts"), used where there are no polygons.
        crowd: True where the region holds many objects; its pixels count for nothing.
    """

    label: int
    polygons: tuple[tuple[float, ...], ...] = ()
    rle: tuple[tuple[int, int], bytes | tuple[int, ...]] | None = None
    crowd: bool = False


@dataclass(frozen=True)
class Regions:
    """Objects of an image by their pixels.

    Args:
        items: The regions.
        partial: False says that the rest is background, True that nobody looked at it.
        closed: Of a partial mask: whether every class that the image shows has a mark.
    """

    items: tuple[Region, ...]
    partial: bool = False
    closed: bool = True


Annotation = Tags | Boxes | Strokes | MaskFile | Regions | CustomAnnotation


@dataclass(frozen=True)
class Sample:
    """One image and what was drawn on it.

    Args:
        id: The image's name inside the data set; labels are stored as ``<id>.png``.
        image: The image file.
        size: (H, W) of the upright image.
        annotations: What was drawn; empty where nothing was.
        split: Such as "train" or "val".
        classes: The classes of the data set, needed by ``example``.

    Raises:
        InputError: The id could name a file outside the folder it is stored in, or is unprintable.
    """

    id: str
    image: Path
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]
    split: str
    classes: Classes | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.id).parts
        if not parts or ".." in parts or self.id.startswith("/") or "\\" in self.id:
            rule = "a relative name without '..'"
            raise InputError("image id", rule, repr(self.id), "rename the image")
        if not self.id.isprintable():  # nor could a list of ids hold it
            raise InputError("image id", "printable", repr(self.id), "rename the image")

    def example(self) -> "Example":
        """Return the image with its constraints, both loaded at their first use.

        Raises:
            InputError: The sample was not taken from a ``Dataset``.
        """
        from wsseg.data.example import example_of  # noqa: PLC0415 - it imports this module

        if self.classes is None:
            hint = "take it from the data set, as in dataset[0]"
            raise InputError(f"Sample {self.id} does not know its classes", hint=hint)
        return example_of(self, len(self.classes))

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All boxes of the image."""
        return tuple(
            box for drawn in self.annotations if isinstance(drawn, Boxes) for box in drawn.items
        )

    @property
    def strokes(self) -> tuple[Scribble, ...]:
        """All points and scribbles of the image, later ones in front."""
        return tuple(
            stroke
            for drawn in self.annotations
            if isinstance(drawn, Strokes)
            for stroke in drawn.items
        )

    @property
    def marks(self) -> tuple[Strokes | Regions, ...]:
        """Points, scribbles and outlines: what says something of a part of the image only."""
        return tuple(
            drawn
            for drawn in self.annotations
            if isinstance(drawn, Strokes) or (isinstance(drawn, Regions) and drawn.partial)
        )

    @property
    def tags(self) -> Tags | None:
        """The image's tags, None where nobody said what it shows."""
        return next((drawn for drawn in self.annotations if isinstance(drawn, Tags)), None)

    @property
    def tagged(self) -> tuple[int, ...]:
        """The classes that tags say are there; none where there are no tags."""
        return self.tags.present if self.tags else ()


@dataclass(frozen=True)
class Problem:
    """Something wrong with a data set, in a person's words.

    Args:
        subject: The file or image at fault.
        message: What is wrong and what to do.
        fatal: True where the image (or the data set) cannot be used.
        kind: What problems of this sort are counted under, such as "box leaves the image".
    """

    subject: str
    message: str
    fatal: bool = False
    kind: str = "other"

    def __str__(self) -> str:
        """One line."""
        return printable(f"{self.subject}: {self.message}")


@dataclass(frozen=True)
class Dataset:
    """Samples of all splits, indexed without decoding a pixel.

    Args:
        classes: The class names.
        samples: One per image, ids distinct within a split.
        problems: What the reader repaired or left out.
        format: Name of the format that it was read from; empty if it was not read from files.
    """

    classes: Classes
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    format: str = ""

    def __post_init__(self) -> None:
        samples = (
            sample if sample.classes is self.classes else replace(sample, classes=self.classes)
            for sample in self.samples
        )
        object.__setattr__(self, "samples", tuple(samples))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of one split.

        Args:
            name: Such as "train".

        Returns:
            The samples, in the data set's order.

        Raises:
            InputError: The split is empty or unknown.
        """
        chosen = tuple(sample for sample in self.samples if sample.split == name)
        if not chosen:
            known = ", ".join(sorted({sample.split for sample in self.samples})) or "none"
            raise InputError(
                f"split {name!r}", "a split with images", "no image", f"known: {known}"
            )
        return chosen
