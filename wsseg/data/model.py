"""Classes, samples and data sets: frozen values, validated when they are created."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wsseg.bands import ImageParams
from wsseg.data.annotation import Annotation, Box, Boxes, Regions, Tags, Unknown
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
        InputError: Too few or too many names, or a repeated one.

    Example:
        >>> Classes(("background", "cow", "sheep")).index("sheep")
        2
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.names) <= IGNORE:
            rule, got = "the background and 1 to 254 classes", f"{len(self.names)} names"
            raise InputError("classes", rule, got, "name the classes")
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise InputError("classes", "distinct", f"{twice[0]!r} twice", "remove one of them")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @cached_property
    def labels(self) -> dict[str, int]:
        """Labels of the object classes by name, without the background."""
        return {name: label for label, name in enumerate(self.names) if label}

    def index(self, name: str) -> int:
        """Return the label of a class, 0 for the background.

        Raises:
            InputError: The name is unknown; the message suggests the nearest one.
        """
        if name not in self.names:
            nearest = difflib.get_close_matches(name, self.names, 1) or self.names[:8]
            raise InputError("class", "a known class", repr(name), f"did you mean {nearest[0]!r}?")
        return self.names.index(name)


@dataclass(frozen=True)
class Sample:
    """One image and its annotations. It never holds hidden truth.

    Args:
        id: Name of the image inside the data set; labels are stored as ``<id>.png``.
        size: (H, W) of the upright image.
        classes: Class names of the data set that the sample belongs to; None outside of one.
        reading: Range and bands that the image is read with, as in the settings ``data``.

    Raises:
        InputError: The id is unprintable, or could name a file outside its folder.
    """

    id: str
    image: Path
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]
    split: str
    classes: Classes | None = field(default=None, repr=False, compare=False)
    reading: ImageParams = field(default_factory=ImageParams, repr=False)

    def __post_init__(self) -> None:
        parts = {*self.id.split("/")} - {"", "."}
        if not parts or ".." in parts or self.id.startswith("/") or "\\" in self.id:
            rule = "a relative name without '..'"
            raise InputError("image id", rule, repr(self.id), "rename the image")
        if not self.id.isprintable():
            raise InputError("image id", "printable", repr(self.id), "rename the image")

    def example(self) -> "Example":
        """Return the image with its constraints, computed at first use; needs a ``Dataset``."""
        from wsseg.data.example import example_of  # noqa: PLC0415 - it imports this module

        if self.classes is None:
            hint = "take it from the data set, as in dataset[0]"
            raise InputError(f"Sample {self.id} belongs to no data set", hint=hint)
        return example_of(self, len(self.classes))

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All boxes of the image."""
        return tuple(box for a in self.annotations if isinstance(a, Boxes) for box in a.items)

    @property
    def strokes(self) -> tuple[Scribble, ...]:
        """All points and scribbles of the image, later ones in front."""
        return tuple(one for a in self.annotations if isinstance(a, Strokes) for one in a.items)

    @property
    def marks(self) -> tuple[Strokes | Regions, ...]:
        """Points, scribbles and partial masks: annotations of a part of the image only."""
        marks = (a for a in self.annotations if isinstance(a, Strokes | Regions))
        return tuple(a for a in marks if isinstance(a, Strokes) or a.partial)

    @property
    def tags(self) -> Tags | None:
        """The tags of the image, None if it has none."""
        return next((a for a in self.annotations if isinstance(a, Tags)), None)

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        """Classes that the image may show besides those that other annotations name."""
        return tuple(a for a in self.annotations if isinstance(a, Unknown))

    @property
    def tagged(self) -> tuple[int, ...]:
        """The classes that tags name as present."""
        return self.tags.present if self.tags else ()


@dataclass(frozen=True)
class Problem:
    """A problem of a data set.

    Args:
        message: The fault and its remedy.
        fatal: Whether the image (or the data set) cannot be used.
        kind: Such as "box leaves the image"; problems of a kind are counted together.
    """

    subject: str
    message: str
    fatal: bool = False
    kind: str = "other"

    def __str__(self) -> str:
        return printable(f"{self.subject}: {self.message}")


@dataclass(frozen=True)
class Dataset:
    """The images of a data set, read without decoding a pixel.

    Args:
        samples: Ids are distinct within a split.
        problems: Everything that the reader repaired or left out.
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
        """Return the samples of one split, in the data set's order.

        Raises:
            InputError: The split is empty or unknown.
        """
        chosen = tuple(sample for sample in self.samples if sample.split == name)
        if not chosen:
            known = ", ".join(sorted({sample.split for sample in self.samples}))
            remedy = f"known: {known or 'none'}"
            raise InputError(f"split {name!r}", "a split with images", "no image", remedy)
        return chosen
