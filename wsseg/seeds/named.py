"""Seeds by name, the gate that holds their results to the annotations, and their combinations."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints, label_map_of
from wsseg.data.custom import CustomAnnotation
from wsseg.data.model import MaskFile, Sample
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.plugins import find_named
from wsseg.seeds.boxes import box, box_inner
from wsseg.seeds.grabcut import grabcut, grabcut_votes
from wsseg.seeds.params import SeedParams
from wsseg.seeds.strokes import grabcut_strokes, strokes
from wsseg.seeds.superpixels import superpixel_votes
from wsseg.seeds.walker import random_walker

Seed = Callable[
    [NDArray[np.uint8], Constraints, Sample, SeedParams, np.random.Generator],
    NDArray[np.uint8],
]
"""(image (H, W, 3) RGB, constraints, sample, settings, rng) -> (H, W) label map."""

ENTRY_POINTS = "wsseg.seeds"
"""The entry point group of seeds from other packages."""

_OF_BOXES = ("box", "box_inner", "grabcut", "grabcut_votes", "intersection")
_NOT_FROM = {
    "seeds.sources": ("intersection", "mixed"),
    "seeds.of_boxes": ("mixed",),
    "seeds.of_strokes": ("mixed",),
}
_SPARSE = 0.5  # share of known pixels below which a mask is one of marks


def seed_label_map(
    image: NDArray[np.uint8],
    constraints: Constraints,
    sample: Sample,
    settings: SeedParams,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the first label map of an image, held to its annotations.

    Whatever seed made it, ``Constraints.held`` applies to it.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow.
        sample: The image's annotations.
        settings: Its ``name`` chooses the seed.
        rng: Of everything random.

    Returns:
        (H, W) uint8 label map.

    Raises:
        InputError: The seed's name is unknown, or image, constraints, boxes and result do not
            fit each other.
    """
    size = constraints.allowed.shape[1:]
    _check_sizes(image, size, sample)
    label_map = np.asarray(find_seed(settings.name)(image, constraints, sample, settings, rng))
    if label_map.shape != size or label_map.dtype != np.uint8:
        got = f"{label_map.shape} {label_map.dtype}"
        raise InputError(f"seed {settings.name!r}", f"{size} uint8", got, "correct the seed")
    return constraints.project(label_map)


def check_seeds(settings: SeedParams) -> None:
    """Refuse names of seeds, and what they are made of, that could label no image.

    Args:
        settings: Names of seeds.

    Raises:
        InputError: A name is unknown, a mixture is to be made of mixtures or an intersection of
            intersections, or no folder is set for ``folder``.
    """
    used = {"seeds.name": [settings.name]}
    if settings.name == "mixed":
        used |= {"seeds.of_boxes": [settings.of_boxes], "seeds.of_strokes": [settings.of_strokes]}
    if "intersection" in {name for names in used.values() for name in names}:
        used["seeds.sources"] = list(settings.sources)
    for setting, names in used.items():
        for name in names:
            find_seed(name, setting)
            if name in _NOT_FROM.get(setting, ()):
                rule = f"made of seeds other than {' and '.join(_NOT_FROM[setting])}"
                raise InputError(setting, rule, name, "name another seed")
            if name == "folder" and settings.folder is None:
                raise InputError("seeds.folder", "set", "nothing", "name the label maps' folder")


def check_fit(settings: SeedParams, samples: Iterable[Sample]) -> None:
    """Refuse a seed of boxes where marks without a box would be left unused.

    Args:
        settings: Its ``name``.
        samples: The images to label.

    Raises:
        InputError: An image has points, scribbles or outlines, but no box.
    """
    if settings.name not in _OF_BOXES:
        return
    for sample in samples:
        if sample.marks and not sample.boxes:
            rule, got = f"a seed of marks, which {sample.id} has without boxes", settings.name
            remedy = "set seeds.name=mixed, or strokes with losses of unlabelled pixels"
            raise InputError("seeds.name", rule, got, remedy)


def find_seed(name: str, setting: str = "seeds.name") -> Seed:
    """Return the seed of a name: one of ``SEEDS`` or of another package's entry points.

    Args:
        name: Such as "grabcut".
        setting: The key of a configuration that holds the name; for errors.

    Returns:
        The seed.

    Raises:
        InputError: The name is unknown; the message lists the choices.
    """
    return find_named(setting, name, SEEDS, ENTRY_POINTS)


def intersection(
    image: NDArray[np.uint8],
    constraints: Constraints,
    sample: Sample,
    settings: SeedParams,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the foreground that two seeds agree on; the rest of the boxes is IGNORE.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow.
        sample: The image's annotations.
        settings: Its ``sources``, and what those need.
        rng: Of everything random.

    Returns:
        (H, W) uint8; outside the boxes what is known, else IGNORE.

    Raises:
        InputError: A source is unknown, an intersection itself, or fails.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485 (M and G+).
    """
    check_seeds(settings)
    one, other = (
        seed_label_map(image, constraints, sample, settings.model_copy(update={"name": name}), own)
        for name, own in zip(settings.sources, rng.spawn(2), strict=True)
    )
    agreed = np.where((one == other) & (one != 0), one, IGNORE)
    known = constraints.known
    return np.where(known == IGNORE, agreed, known).astype(np.uint8)


def folder(
    image: NDArray[np.uint8],  # noqa: ARG001
    constraints: Constraints,  # noqa: ARG001
    sample: Sample,
    settings: SeedParams,
    rng: np.random.Generator,  # noqa: ARG001
) -> NDArray[np.uint8]:
    """Return a label map that something else wrote (SAM, MCG, a person, ...).

    Args:
        image: Not looked at.
        constraints: Not looked at; the gate applies them.
        sample: The image's name and size.
        settings: ``folder`` holds palette or grayscale PNG files ``<id>.png``.
        rng: Not needed.

    Returns:
        (H, W) uint8 label map.

    Raises:
        InputError: No folder is set, or the file is missing, damaged or of another size.
    """
    if settings.folder is None:
        raise InputError("seeds.folder", "set", "nothing", "name the folder of the label maps")
    path = settings.folder / f"{sample.id}.png"
    return label_map_of(MaskFile(path), sample.size, n_classes=IGNORE)


def mixed(
    image: NDArray[np.uint8],
    constraints: Constraints,
    sample: Sample,
    settings: SeedParams,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the first labels of an image that may carry annotations of any kind.

    Boxes get the seed ``settings.of_boxes``; where that leaves pixels open, or there are no boxes,
    what is marked spreads by ``settings.of_strokes``. A full mask stays as it is, its IGNORE too.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow.
        sample: The image's annotations.
        settings: Its ``of_boxes`` and ``of_strokes``, and what those need.
        rng: Of everything random.

    Returns:
        (H, W) uint8; all IGNORE where no pixel is known, as with tags alone.

    Raises:
        InputError: One of the two seeds is unknown, ``mixed`` itself, or fails.
    """
    check_seeds(settings)
    label_map, own = constraints.known, rng.spawn(2)
    if sample.boxes:
        label_map = constraints.project(
            find_seed(settings.of_boxes)(image, constraints, sample, settings, own[0])
        )
    if not _is_marked(sample, label_map) or (label_map != IGNORE).all():
        return label_map
    spread = find_seed(settings.of_strokes)(image, constraints, sample, settings, own[1])
    return np.where(label_map == IGNORE, spread, label_map).astype(np.uint8)


def _is_marked(sample: Sample, label_map: NDArray[np.uint8]) -> bool:
    """Whether some pixels are known that say something of others: marks, or a sparse mask."""
    if sample.marks or any(isinstance(drawn, CustomAnnotation) for drawn in sample.annotations):
        return True
    return not sample.boxes and 0 < float((label_map != IGNORE).mean()) < _SPARSE


SEEDS: dict[str, Seed] = {
    "box": box,
    "box_inner": box_inner,
    "grabcut": grabcut,
    "grabcut_votes": grabcut_votes,
    "intersection": intersection,
    "strokes": strokes,
    "random_walker": random_walker,
    "grabcut_strokes": grabcut_strokes,
    "superpixel_votes": superpixel_votes,
    "folder": folder,
    "mixed": mixed,
}
"""The seeds of this package by name."""


def _check_sizes(image: NDArray[np.uint8], size: tuple[int, ...], sample: Sample) -> None:
    if image.shape != (*size, 3):
        rule = f"of its constraints' size {size} with 3 channels"
        raise InputError(f"image {sample.id}", rule, image.shape, "export its annotations again")
    if sample.size != size:
        rule = f"of its constraints' size {size}"
        raise InputError(f"sample {sample.id}", rule, sample.size, "build its constraints again")
    for drawn in sample.boxes:
        if drawn.right > size[1] or drawn.bottom > size[0]:
            remedy = "clip the box or replace the image"
            raise InputError(f"box of {sample.id}", f"inside the image {size}", drawn, remedy)
