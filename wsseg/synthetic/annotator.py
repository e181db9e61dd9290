"""Weak annotations of one image, as a person would draw them who sees its full mask."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy import ndimage

from wsseg.data.formats.fitting import merged
from wsseg.data.model import Annotation, Box, Boxes, Region, Regions, Tags
from wsseg.data.strokes import Strokes, default_width
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.synthetic.drawing import Shape, draw_click, draw_line

_TOUCHING = np.ones((3, 3), bool)
_WORTH_A_LINE = 0.25  # of the largest part of the background
_BACKGROUND_LINES = 3


@dataclass(frozen=True)
class Hand:
    """How a simulated person annotates.

    Args:
        length: Share of every scribble that is kept, above 0 to 1.
        jitter: Every edge of a box is moved by up to this share of its side, 0 to below 0.5.
        background_points: Clicks on the background of an image with points.
        points_per: "object", or "class" to click on the largest object of each class only.
        least_area: Pixels; smaller objects are overlooked.
        blocks: Squares of an image with blocks.
        block_side: Side of a square as a share of the image's longer side, above 0 to 1.

    Raises:
        InputError: A value is out of range.
    """

    length: float = 1.0
    jitter: float = 0.0
    background_points: int = 1
    points_per: str = "object"
    least_area: int = 9
    blocks: int = 5
    block_side: float = 0.1

    def __post_init__(self) -> None:
        self._check("length", "above 0, to 1", 0 < self.length <= 1)
        self._check("jitter", "from 0 to below 0.5", 0 <= self.jitter < 0.5)
        self._check("background_points", "0 or more", self.background_points >= 0)
        self._check("points_per", "object or class", self.points_per in {"object", "class"})
        self._check("least_area", "1 or more", self.least_area >= 1)
        self._check("blocks", "1 or more", self.blocks >= 1)
        self._check("block_side", "above 0, to 1", 0 < self.block_side <= 1)

    def _check(self, name: str, rule: str, is_kept: bool) -> None:
        if not is_kept:
            raise InputError(name, rule, repr(getattr(self, name)), f"correct {name}")


@dataclass(frozen=True)
class Seen:
    """What a person sees who annotates an image.

    Args:
        label_map: (H, W) uint8 truth; IGNORE is of no class.
        objects: The objects large enough to be seen.
        background: The connected parts of the background, the largest first.
    """

    label_map: NDArray[np.uint8]
    objects: tuple[Shape, ...]
    background: tuple[Shape, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.label_map.shape[0], self.label_map.shape[1]

    @property
    def stroke_width(self) -> float:
        """Pixels, of strokes without a width of their own."""
        return default_width(self.size)


def look(
    label_map: NDArray[np.uint8],
    instances: NDArray[np.integer] | None = None,
    least_area: int = 1,
) -> Seen:
    """Return the objects of a label map.

    Args:
        label_map: (H, W) uint8; IGNORE is of no class.
        instances: (H, W) numbers that tell objects of one class apart; without them each connected
            region (8 neighbours) of a class is an object.
        least_area: Pixels; smaller objects are left out.

    Returns:
        The objects in the order of their classes and places, and the background's parts.
    """
    objects: list[Shape] = []
    for label in sorted({*np.unique(label_map).tolist()} - {0, IGNORE}):
        of_class = label_map == label
        numbers = _numbered(of_class) if instances is None else np.where(of_class, instances + 1, 0)
        objects += _shapes(numbers, label)
    background = sorted(_shapes(_numbered(label_map == 0), 0), key=lambda shape: -shape.area)
    return Seen(label_map, tuple(s for s in objects if s.area >= least_area), tuple(background))


def _numbered(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    numbers: NDArray[np.intp] = ndimage.label(mask, _TOUCHING)[0]
    return numbers


def _shapes(numbers: NDArray[np.integer], label: int) -> Iterator[Shape]:
    for number, window in enumerate(ndimage.find_objects(numbers), 1):
        if window is not None:
            corner = window[0].start, window[1].start
            yield Shape(label, corner, numbers[window] == number)


def tags(seen: Seen) -> Tags:
    """Return the classes of the objects.

    Args:
        seen: The image.

    Returns:
        Tags; empty where there is no object.
    """
    return Tags(tuple(sorted({shape.label for shape in seen.objects})))


def boxes(seen: Seen, rng: np.random.Generator, jitter: float = 0.0) -> Boxes:
    """Return a box around every object, tight or not.

    Args:
        seen: The image.
        rng: Decides how far each edge is moved.
        jitter: By up to this share of the box's side, 0 to below 0.5.

    Returns:
        Boxes inside the image of at least a pixel.
    """
    return Boxes(tuple(_jittered(shape, jitter, seen.size, rng) for shape in seen.objects))


def _jittered(shape: Shape, jitter: float, size: tuple[int, int], rng: np.random.Generator) -> Box:
    edges = []
    for start, side, limit in zip(shape.corner, shape.mask.shape, size, strict=True):
        moves = np.rint(rng.uniform(-1, 1, 2) * jitter * side).astype(int)
        low = min(max(start + int(moves[0]), 0), limit - 1)
        edges.append((low, min(max(start + side + int(moves[1]), low + 1), limit)))
    (top, bottom), (left, right) = edges
    return Box(shape.label, left, top, right, bottom)


def extremes(seen: Seen) -> Boxes:
    """Return the boxes of clicks on the outermost pixels of every object: tight ones.

    Args:
        seen: The image.

    Returns:
        Boxes.

    References:
        Papadopoulos et al., Extreme clicking for efficient object annotation, arXiv:1708.02750.
    """
    return boxes(seen, np.random.default_rng(0), jitter=0.0)


def points(
    seen: Seen, rng: np.random.Generator, per: str = "object", background: int = 1
) -> Strokes:
    """Return a click on every object, or class, and some on the background.

    Args:
        seen: The image.
        rng: Decides the places.
        per: "object", or "class" to click on the largest object of each class only.
        background: Clicks on the background, far from the objects.

    Returns:
        Clicks, each well inside its class.

    References:
        Bearman et al., What's the point: semantic segmentation with point supervision,
        arXiv:1506.02106.
    """
    shapes = seen.objects
    if per == "class":
        shapes = tuple({s.label: s for s in sorted(shapes, key=lambda s: s.area)}.values())
    ground = seen.background[:1] * background
    return Strokes(tuple(draw_click(s, seen.stroke_width, rng) for s in (*shapes, *ground)))


def scribbles(seen: Seen, rng: np.random.Generator, length: float = 1.0) -> Strokes:
    """Return a line in every object and in the largest parts of the background.

    Args:
        seen: The image.
        rng: Decides how the lines are drawn.
        length: Share of every line that is kept, above 0 to 1, a part of those of longer shares.

    Returns:
        Lines, and clicks on what is too small for a line.

    References:
        Lin et al., ScribbleSup: scribble-supervised convolutional networks for semantic
        segmentation, arXiv:1604.05144.
    """
    ground = seen.background[:_BACKGROUND_LINES]
    shapes = (*seen.objects, *(s for s in ground if s.area >= _WORTH_A_LINE * ground[0].area))
    pairs = zip(shapes, rng.spawn(len(shapes)), strict=True)
    return Strokes(tuple(draw_line(s, seen.stroke_width, length, own) for s, own in pairs))


def blocks(seen: Seen, rng: np.random.Generator, count: int = 5, side: float = 0.1) -> Regions:
    """Return the true classes inside some squares.

    Args:
        seen: The image.
        rng: Decides the places.
        count: Number of squares.
        side: Of a square, as a share of the image's longer side, above 0 to 1.

    Returns:
        A partial mask that is not closed: a region for each class in each square.
    """
    pixels, found = max(1, round(side * max(seen.size))), list[Region]()
    for _ in range(count):
        top, left = (int(rng.integers(0, max(1, length - pixels + 1))) for length in seen.size)
        window = slice(top, top + pixels), slice(left, left + pixels)
        found += _regions_inside(seen.label_map, window)
    return Regions(tuple(found), partial=True, closed=False)


def _regions_inside(label_map: NDArray[np.uint8], window: tuple[slice, slice]) -> Iterator[Region]:
    height, width = label_map.shape
    for label in np.unique(label_map[window]):
        if label != IGNORE:
            mask = np.zeros((height, width), np.uint8, order="F")
            mask[window] = label_map[window] == label
            yield Region(int(label), rle=((height, width), coco_mask.encode(mask)["counts"]))


KINDS: Mapping[str, Callable[[Seen, Hand, np.random.Generator], Annotation]] = MappingProxyType(
    {
        "tags": lambda seen, _, __: tags(seen),
        "boxes": lambda seen, hand, rng: boxes(seen, rng, hand.jitter),
        "extremes": lambda seen, _, __: extremes(seen),
        "points": lambda seen, hand, rng: points(
            seen, rng, hand.points_per, hand.background_points
        ),
        "scribbles": lambda seen, hand, rng: scribbles(seen, rng, hand.length),
        "blocks": lambda seen, hand, rng: blocks(seen, rng, hand.blocks, hand.block_side),
    }
)
"""What a person draws on an image, by the kind of annotation."""


def annotate(
    seen: Seen, kinds: Sequence[str], hand: Hand, seed: tuple[int, ...]
) -> tuple[Annotation, ...]:
    """Return annotations of one or more kinds of one image.

    Args:
        seen: The image.
        kinds: Of ``KINDS``; "boxes" and "extremes" exclude each other.
        hand: How the person annotates.
        seed: Each kind's own stream begins with it, so that kinds do not change each other.

    Returns:
        One annotation of a type, clicks and lines together; empty tags where there is no object
        and nothing else would say so; nothing where no pixel's class is known.

    Example:
        >>> label_map = np.zeros((40, 60), np.uint8)
        >>> label_map[10:30, 20:50] = 7
        >>> annotate(look(label_map), ["tags"], Hand(), (0,))
        (Tags(present=(7,), unsure=()),)
    """
    if not (seen.label_map != IGNORE).any():
        return ()
    made = (
        draw(seen, hand, np.random.default_rng((*seed, number)))
        for number, (kind, draw) in enumerate(KINDS.items())
        if kind in kinds
    )
    drawn = merged(annotation for annotation in made if _says_something(annotation))
    return drawn if drawn or not kinds else (Tags(()),)


def _says_something(annotation: Annotation) -> bool:
    return not isinstance(annotation, Boxes | Strokes | Regions) or bool(annotation.items)
