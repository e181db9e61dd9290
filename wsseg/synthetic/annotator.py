"""Draw weak annotations of one image from its label map, as people draw them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy import ndimage

from wsseg.data.annotation import Annotation, Box, Boxes, Region, Regions, Tags
from wsseg.data.strokes import Strokes, default_width
from wsseg.labelmaps import IGNORE
from wsseg.synthetic.drawing import Shape, draw_click, draw_line
from wsseg.synthetic.params import KINDS, AnnotatorParams

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
_MIN_BACKGROUND = 0.25  # of the largest background part; smaller parts get no scribble
_MAX_BACKGROUND_LINES = 3


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """The objects and background of an image, for a simulated annotator.

    Args:
        label_map: (H, W) uint8 ground truth; IGNORE belongs to no object.
        objects: Objects that are large enough to be annotated, ordered by class and position.
        background: Connected parts of the background, the largest first.
    """

    label_map: NDArray[np.uint8]
    objects: tuple[Shape, ...]
    background: tuple[Shape, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Size (H, W) of the image in pixels."""
        return self.label_map.shape[0], self.label_map.shape[1]

    @property
    def stroke_width(self) -> float:
        """Width in pixels of the strokes that are drawn: 1 % of the longer side, at least 3."""
        return default_width(self.size)


def find_objects(
    label_map: NDArray[np.uint8],
    instances: NDArray[np.integer] | None = None,
    min_area: float = 1,
) -> SceneObjects:
    """Find the objects of a label map (H, W) of at least ``min_area`` pixels.

    Args:
        instances: (H, W) numbers that separate objects of one class. Without them each connected
            region (8 neighbours) of a class is an object.
    """
    objects: list[Shape] = []
    for label in sorted({*np.unique(label_map).tolist()} - {0, IGNORE}):
        mask = label_map == label
        numbers = None if instances is None else np.where(mask, instances + 1, 0)
        objects += _shapes(mask, label, numbers)
    parts = sorted(_shapes(label_map == 0, 0), key=lambda shape: -shape.area)
    large = tuple(shape for shape in objects if shape.area >= min_area)
    return SceneObjects(label_map, large, tuple(parts))


def _shapes(
    mask: NDArray[np.bool_], label: int, numbers: NDArray[np.integer] | None = None
) -> Iterator[Shape]:
    """Yield the numbered shapes of a mask, or its connected regions."""
    if numbers is None:
        numbers = ndimage.label(mask, _EIGHT_NEIGHBOURS)[0]
    for number, window in enumerate(ndimage.find_objects(numbers), 1):
        if window is not None:
            corner = window[0].start, window[1].start
            yield Shape(label, corner, numbers[window] == number)


def draw_tags(scene: SceneObjects, params: AnnotatorParams, rng: np.random.Generator) -> Tags:
    """Name the classes of the objects; the tags are empty if there is no object."""
    del params, rng
    return Tags(tuple(sorted({shape.label for shape in scene.objects})))


def draw_boxes(scene: SceneObjects, params: AnnotatorParams, rng: np.random.Generator) -> Boxes:
    """Draw a box around every object, with edges shifted by up to ``params.jitter``.

    The boxes lie inside the image and have at least one pixel.
    """
    return Boxes(tuple(_draw_box(s, scene.size, params.jitter, rng) for s in scene.objects))


def _draw_box(shape: Shape, size: tuple[int, int], jitter: float, rng: np.random.Generator) -> Box:
    edges = []
    for start, side, limit in zip(shape.corner, shape.mask.shape, size, strict=True):
        shifts = np.rint(rng.uniform(-1, 1, 2) * jitter * side).astype(int)
        low = min(max(start + int(shifts[0]), 0), limit - 1)
        edges.append((low, min(max(start + side + int(shifts[1]), low + 1), limit)))
    (top, bottom), (left, right) = edges
    return Box(shape.label, left, top, right, bottom)


def draw_extremes(scene: SceneObjects, params: AnnotatorParams, rng: np.random.Generator) -> Boxes:
    """Draw tight boxes, as clicks on the four outermost points of an object give them.

    References:
        Papadopoulos et al., Extreme clicking for efficient object annotation, arXiv:1708.02750.
    """
    return draw_boxes(scene, params.model_copy(update={"jitter": 0.0}), rng)


def draw_points(scene: SceneObjects, params: AnnotatorParams, rng: np.random.Generator) -> Strokes:
    """Click on every object or class, and on the largest part of the background.

    Each point lies well inside its class.

    References:
        Bearman et al., What's the point: semantic segmentation with point supervision,
        arXiv:1506.02106.
    """
    shapes = scene.objects
    if params.points_per == "class":  # of each class the largest object comes last, and stays
        shapes = tuple({s.label: s for s in sorted(shapes, key=lambda s: s.area)}.values())
    background = scene.background[:1] * params.background_points
    return Strokes(tuple(draw_click(s, scene.stroke_width, rng) for s in (*shapes, *background)))


def draw_scribbles(
    scene: SceneObjects, params: AnnotatorParams, rng: np.random.Generator
) -> Strokes:
    """Draw a line in every object and in the largest parts of the background.

    A shape that is too small for a line gets a point. For one random stream, a scribble of a
    smaller ``params.length`` is a part of the longer one.

    References:
        Lin et al., ScribbleSup: scribble-supervised convolutional networks for semantic
        segmentation, arXiv:1604.05144.
    """
    parts = scene.background[:_MAX_BACKGROUND_LINES]
    shapes = (*scene.objects, *(s for s in parts if s.area >= _MIN_BACKGROUND * parts[0].area))
    pairs = zip(shapes, rng.spawn(len(shapes)), strict=True)
    return Strokes(tuple(draw_line(s, scene.stroke_width, params.length, own) for s, own in pairs))


def draw_blocks(scene: SceneObjects, params: AnnotatorParams, rng: np.random.Generator) -> Regions:
    """Label the pixels of some squares with their true classes.

    The result is a partial mask that is not closed, with one region per class in each square.
    """
    side = max(1, round(params.block_side * max(scene.size)))
    regions: list[Region] = []
    for _ in range(params.blocks):
        top, left = (int(rng.integers(0, max(1, length - side + 1))) for length in scene.size)
        window = slice(top, top + side), slice(left, left + side)
        for label in np.unique(scene.label_map[window]).tolist():
            if label != IGNORE:
                mask = np.zeros(scene.size, np.uint8, order="F")
                mask[window] = scene.label_map[window] == label
                regions.append(Region(label, rle=(scene.size, coco_mask.encode(mask)["counts"])))
    return Regions(tuple(regions), partial=True, closed=False)


Draw = Callable[
    [SceneObjects, AnnotatorParams, np.random.Generator], Tags | Boxes | Strokes | Regions
]

DRAW: Mapping[str, Draw] = MappingProxyType(
    {
        "tags": draw_tags,
        "boxes": draw_boxes,
        "extremes": draw_extremes,
        "points": draw_points,
        "scribbles": draw_scribbles,
        "blocks": draw_blocks,
    }
)
"""The function that draws each of ``KINDS``."""


def annotate(
    scene: SceneObjects, kinds: Sequence[str], params: AnnotatorParams, seed: tuple[int, ...]
) -> tuple[Annotation, ...]:
    """Draw annotations of one or more kinds for an image.

    Args:
        scene: The objects and background of the image, of ``find_objects``.
        kinds: Names of ``KINDS``, in any order. Give only one of "boxes" and "extremes", which
            both draw boxes; neither this nor unknown names are checked.
        seed: Non-negative integers, such as a seed and the bytes of the image's id. Each kind
            draws from a generator of its own, ``default_rng((*seed, number of the kind))``, so
            that the same boxes are drawn with and without scribbles.

    Returns:
        One annotation per kind that drew anything, in the order of ``KINDS``, but one ``Strokes``
        for points and scribbles together. If nothing was drawn, ``Tags`` without classes; an empty
        tuple if every pixel is IGNORE.

    Example:
        >>> label_map = np.zeros((40, 60), np.uint8)
        >>> label_map[10:30, 20:50] = 7
        >>> annotate(find_objects(label_map), ["tags"], AnnotatorParams(), (0,))
        (Tags(present=(7,), unsure=()),)
    """
    if not (scene.label_map != IGNORE).any():
        return ()
    annotations: list[Annotation] = []
    for number, kind in enumerate(KINDS):
        if kind not in kinds:
            continue
        new = DRAW[kind](scene, params, np.random.default_rng((*seed, number)))
        last = annotations[-1] if annotations else None
        if isinstance(new, Strokes) and isinstance(last, Strokes):
            annotations[-1] = Strokes((*last.items, *new.items))
        elif isinstance(new, Tags) or new.items:
            annotations.append(new)
    return tuple(annotations) or (Tags(()),)
