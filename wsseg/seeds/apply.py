"""Seeds by name, their combinations, and the projection of their results onto the annotations.

A seed is a function ``f(example, params, rng)`` that returns a label map (H, W) uint8, IGNORE
where it decides nothing, or ``SeedLabels``, a label map with statistics. It names only the
arguments that it needs, in any order after the first. Whatever seed made a label map,
``Constraints.project`` is applied to it.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import MaskFile
from wsseg.data.classes import shows_object
from wsseg.data.constraints import label_map_of
from wsseg.data.example import Example
from wsseg.data.model import Sample
from wsseg.errors import DamagedError, InputError
from wsseg.images import read_header
from wsseg.labelmaps import IGNORE, zero_255_confusion
from wsseg.params import Params
from wsseg.plugins import find_named, takes
from wsseg.seeds.boxes import box, box_inner
from wsseg.seeds.evidence import is_marked
from wsseg.seeds.grabcut import grabcut, grabcut_votes
from wsseg.seeds.labels import SeedLabels
from wsseg.seeds.params import SeedParams
from wsseg.seeds.strokes import grabcut_strokes, strokes
from wsseg.seeds.superpixels import superpixel_votes
from wsseg.seeds.walker import random_walker

SeedFunction = Callable[..., NDArray[np.uint8] | SeedLabels]
"""``f(example)``, with the keyword arguments ``params`` and ``rng`` if it has parameters of these
names."""

SEEDS: dict[str, SeedFunction] = {
    "box": box,
    "box_inner": box_inner,
    "grabcut": grabcut,
    "grabcut_votes": grabcut_votes,
    "strokes": strokes,
    "random_walker": random_walker,
    "grabcut_strokes": grabcut_strokes,
    "superpixel_votes": superpixel_votes,
}
"""The seeds of this package that are no combinations."""

COMBINATIONS = ("auto", "intersection", "folder", "sam", "dino_walker")
"""Names of seeds that use other seeds, label maps of other programs, or a foundation model."""

ENTRY_POINTS = "wsseg.seeds"
"""Entry point group of seeds from other packages."""


@dataclass(frozen=True)
class Seed:
    """A seed with its name and its keyword arguments, ready for any number of images."""

    name: str
    function: SeedFunction
    arguments: dict[str, Any]

    def __call__(self, example: Example, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the label map (H, W) uint8 of an image, projected onto its annotations.

        Raises:
            InputError: A box reaches beyond the image, or the seed fails.
        """
        return self.label(example, rng).label_map

    def label(self, example: Example, rng: np.random.Generator) -> SeedLabels:
        """Return the label map of an image, projected onto its annotations, with its statistics.

        Raises:
            InputError: A box reaches beyond the image, or the seed fails.
        """
        _check_boxes(example.sample)
        random = {"rng": rng} if takes(self.function, "rng") else {}
        result = self.function(example, **self.arguments, **random)
        labels = result if isinstance(result, SeedLabels) else SeedLabels(np.asarray(result))
        label_map = labels.label_map
        if label_map.shape != example.sample.size or label_map.dtype != np.uint8:
            rule, got = f"{example.sample.size} uint8", f"{label_map.shape} {label_map.dtype}"
            raise InputError(f"result of seed {self.name!r}", rule, got, "correct the seed")
        projected = example.constraints.project(label_map)
        return replace(labels, label_map=_without_doubtful_background(projected, example))


def _without_doubtful_background(
    label_map: NDArray[np.uint8], example: Example
) -> NDArray[np.uint8]:
    """Return a label map with IGNORE in place of background where ``Unknown`` classes may be.

    Seeds take everything outside the boxes for background. Background inside of boxes stays, except
    in the area of an ``Unknown``.
    """
    sample, doubtful = example.sample, np.zeros(label_map.shape, bool)
    if not sample.unknown:
        return label_map
    doubtful |= any(unknown.area is None for unknown in sample.unknown)
    for drawn in sample.boxes:
        doubtful[drawn.slices] = False
    for unknown in sample.unknown:
        doubtful[unknown.slices] |= unknown.area is not None
    doubtful &= (label_map == 0) & (example.constraints.known == IGNORE)
    return np.where(doubtful, IGNORE, label_map).astype(np.uint8)


def find_seed(params: SeedParams = SeedParams(), device: str = "auto") -> Seed:
    """Return the seed that ``params`` describe.

    Args:
        device: As ``machine.device``, for seeds that use a foundation model.

    Raises:
        InputError: A name is unknown, a combination contains itself, a folder is not set, or
            parameters of a plug-in break a rule.
    """
    return _find(params, params.name, "seeds.name", forbidden=(), device=device)


def group_of_seed(name: str) -> str:
    """Return the name of the settings group of a seed, whether it has one or not.

    Example:
        >>> group_of_seed("grabcut_votes"), group_of_seed("dino_walker"), group_of_seed("box_inner")
        ('grabcut', 'dino', 'box_inner')
    """
    return next((group for group in ("grabcut", "dino") if name.startswith(f"{group}_")), name)


def _find(
    params: SeedParams, name: str, setting: str, forbidden: tuple[str, ...], device: str
) -> Seed:
    if name in forbidden:
        rule = f"the name of a seed other than {' and '.join(forbidden)}"
        raise InputError(setting, rule, repr(name), "name another seed")
    if name == "auto" and params.boxes == params.strokes == "sam":
        name = "sam"
    if name == "auto":
        boxes = _find(params, params.boxes, "seeds.boxes", ("auto",), device)
        marks = _find(params, params.strokes, "seeds.strokes", ("auto",), device)
        return Seed(name, combine, {"boxes": boxes, "strokes": marks})
    if name == "intersection":
        inner = ("intersection", "auto")
        sources = tuple(_find(params, n, "seeds.sources", inner, device) for n in params.sources)
        return Seed(name, intersect, {"sources": sources})
    if name == "folder":
        if params.folder is None:
            raise InputError("seeds.folder", "set", "nothing", "name the folder of the label maps")
        if not params.folder.is_dir():
            raise InputError(f"seeds.folder {params.folder} is no folder", hint="check the path")
        return Seed(name, read_from_folder, {"folder": params.folder})
    if name in ("sam", "dino_walker"):
        return _sam_seed(params, device) if name == "sam" else _dino_seed(params, device)
    choices = {**dict.fromkeys(COMBINATIONS), **SEEDS}
    function = find_named(setting, name, choices, ENTRY_POINTS)
    assert function is not None
    if name not in SEEDS:
        return Seed(name, function, _plugin_arguments(function, name, params.plugins.get(name, {})))
    group = group_of_seed(name)
    arguments = {"params": getattr(params, group)} if takes(function, "params") else {}
    return Seed(name, function, arguments)


def _dino_seed(params: SeedParams, device: str) -> Seed:
    from wsseg.seeds.dino import dino_walker  # noqa: PLC0415 - imports torch

    return Seed("dino_walker", dino_walker, {"params": params.dino, "device": device})


def _sam_seed(params: SeedParams, device: str) -> Seed:
    """Return the seed "sam", with the seeds of "auto" for the objects for which it fails."""
    from wsseg.seeds.sam import sam  # noqa: PLC0415 - imports torch

    defaults = SeedParams()
    without = {
        name: default if "sam" in params.model_copy(update={"name": used}).used else used
        for name, used, default in (
            ("boxes", params.boxes, defaults.boxes),
            ("strokes", params.strokes, defaults.strokes),
        )
    }
    changes = {"name": "auto", **without}
    fallback = find_seed(params.model_copy(update=changes), device)
    return Seed("sam", sam, {"params": params.sam, "fallback": fallback, "device": device})


def _plugin_arguments(function: SeedFunction, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a plug-in, an instance of the class that ``params`` is annotated."""
    if not takes(function, "params"):
        if values:
            subject = f"seeds.plugins.{name} is set, but the seed {name!r} has no parameters"
            raise InputError(subject, hint="remove it")
        return {}
    kind = inspect.signature(function, eval_str=True).parameters["params"].annotation
    if not (isinstance(kind, type) and issubclass(kind, Params)):
        subject = f"The parameter `params` of the seed {name!r} is not annotated with its class"
        raise InputError(subject, hint="annotate it with a subclass of wsseg.params.Params")
    return {"params": kind(**values)}


def combine(example: Example, boxes: Seed, strokes: Seed, rng: np.random.Generator) -> SeedLabels:
    """Return the first label map of an image with annotations of any kind.

    Boxes get the seed ``boxes``. If that leaves pixels open, or if there are no boxes, marks are
    spread by the seed ``strokes``. A full mask stays as it is, including its IGNORE.

    Returns:
        The label map, all IGNORE if no pixel is known, as with tags alone, and the statistics of
        the seeds.
    """
    labels, sample = SeedLabels(example.constraints.known), example.sample
    # The seed that comes first receives the generator itself, so that it makes the same label map
    # as when it is chosen by name.
    if sample.boxes:
        labels = boxes.label(example, rng)
        rng = rng.spawn(1)[0]
    label_map = labels.label_map
    if not is_marked(sample, label_map) or (label_map != IGNORE).all():
        return labels
    spread = strokes.label(example, rng)
    return SeedLabels(
        np.where(label_map == IGNORE, spread.label_map, label_map).astype(np.uint8),
        {**spread.stats, **labels.stats},
        [*labels.candidates, *spread.candidates],
    )


def intersect(example: Example, sources: tuple[Seed, Seed], rng: np.random.Generator) -> SeedLabels:
    """Return the foreground that two seeds agree on; the rest of the boxes is IGNORE.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485 (M and G+).
    """
    results = [
        source.label(example, own) for source, own in zip(sources, rng.spawn(2), strict=True)
    ]
    one, other = (result.label_map for result in results)
    agreed = np.where((one == other) & (one != 0), one, IGNORE).astype(np.uint8)
    stats = {**results[1].stats, **results[0].stats}
    return SeedLabels(agreed, stats, [c for result in results for c in result.candidates])


def read_from_folder(example: Example, folder: Path) -> NDArray[np.uint8]:
    """Return a label map of another program (SAM, MCG, a person, ...): ``<id>.png`` in a folder.

    Raises:
        InputError: The file is missing, damaged or has another size, or it is a grayscale image of
            0 and 255 alone although the image shows an object.
    """
    sample, path = example.sample, folder / f"{example.sample.id}.png"
    label_map = label_map_of(MaskFile(path), sample.size, n_classes=IGNORE)
    confusion = zero_255_confusion(label_map) if shows_object(sample) else None
    # Palette images come from programs that know IGNORE, such as this one; black-and-white masks
    # of objects are grayscale images.
    if confusion and read_header(path).mode != "P":
        fault, _, remedy = confusion.rpartition("; ")
        # The folder is to blame, not an image: the run stops.
        raise DamagedError(f"{path}: {fault}", hint=remedy)
    return label_map


def _check_boxes(sample: Sample) -> None:
    height, width = sample.size
    for drawn in sample.boxes:
        if drawn.right > width or drawn.bottom > height:
            rule, remedy = f"inside the image {sample.size}", "clip the box or replace the image"
            raise InputError(f"box of {sample.id}", rule, drawn, remedy)
