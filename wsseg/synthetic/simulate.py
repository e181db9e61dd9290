"""Whole data sets annotated from their full masks: what would cheaper annotations have given?"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import region_mask
from wsseg.data.model import Annotation, Boxes, MaskFile, Regions, Sample, Tags
from wsseg.data.strokes import Strokes
from wsseg.data.truth import Truth, read_truth, true_label_map
from wsseg.data.writers.jsonl import write_jsonl
from wsseg.errors import InputError
from wsseg.labelmaps import write_label_map
from wsseg.parallel import Skipped, map_locally
from wsseg.runs.progress import track
from wsseg.synthetic.annotator import KINDS, Hand, annotate, look
from wsseg.synthetic.costs import DRAWN_BOX, EXTREME_BOX, MASK, seconds_of

MASKS, NOTHING = "masks", "nothing"
_ALONE = (MASKS, NOTHING, "blocks")
_SHOWN = 5

Kinds = tuple[str, ...]
"""What one image gets: names of ``KINDS``, or "masks" or "nothing"."""


@dataclass(frozen=True)
class Simulated:
    """What was drawn on a data set.

    Args:
        samples: The images with their annotations, by id.
        left_out: Images that have no truth, or whose truth cannot be read.
        seconds: That people would have needed.
    """

    samples: tuple[Sample, ...]
    left_out: tuple[Skipped, ...]
    seconds: float

    def lines(self) -> Iterator[str]:
        """Yield what was drawn and what it would have cost, for a person."""
        yield f"{len(self.samples)} images"
        marks = [Counter(dict(_marks(sample.annotations))) for sample in self.samples]
        for kind, count in sorted(sum(marks, Counter[str]()).items()):
            yield f"  {kind}: {count} in {sum(kind in found for found in marks)} images"
        bare = sum(not sample.annotations for sample in self.samples)
        yield f"  without a mark: {bare} images"
        whole = MASK * len(self.samples)
        share = f"{self.seconds / max(whole, 1):.1%} of the {_hours(whole)} of full masks"
        yield f"annotation time: {self.seconds:.0f} s ({_hours(self.seconds)}), {share}"
        yield from (f"left out: {each.id}: {each.reason}" for each in self.left_out[:_SHOWN])
        if len(self.left_out) > _SHOWN:
            yield f"and {len(self.left_out) - _SHOWN} more left out"


def _marks(annotations: Sequence[Annotation]) -> Iterator[tuple[str, int]]:
    for drawn in annotations:
        if isinstance(drawn, Tags):
            yield "tags", len(drawn.present)
        elif isinstance(drawn, Strokes):
            clicks = sum(len(stroke.points) == 1 for stroke in drawn.items)
            yield from (("points", clicks),) if clicks else ()
            yield from (("scribbles", n),) if (n := len(drawn.items) - clicks) else ()
        elif isinstance(drawn, MaskFile):
            yield "masks", 1
        elif isinstance(drawn, Boxes | Regions):
            yield "boxes" if isinstance(drawn, Boxes) else "regions", len(drawn.items)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h"


def read_mix(text: str) -> dict[Kinds, float]:
    """Return which share of the images gets what.

    Args:
        text: Such as "boxes=0.5,scribbles+tags=0.3,nothing=0.2".

    Returns:
        Shares by kinds.

    Raises:
        InputError: A kind is unknown or cannot be had beside another, a share is not a number, or
            they do not add up to 1.

    Example:
        >>> read_mix("boxes+points=0.25,nothing=0.75")
        {('boxes', 'points'): 0.25, ('nothing',): 0.75}
    """
    mix: dict[Kinds, float] = {}
    for part in text.split(","):
        names, _, share = part.partition("=")
        kinds = read_kinds(names, "+")
        if kinds in mix:
            raise InputError("mix", "of distinct kinds", f"{names.strip()} twice", "add them up")
        mix[kinds] = _share(share, part)
    if not math.isclose(sum(mix.values()), 1, abs_tol=1e-6):
        remedy = "correct the shares, or give the rest to nothing"
        raise InputError("mix", "shares that add up to 1", f"{sum(mix.values()):g}", remedy)
    return mix


def _share(text: str, part: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        rule, remedy = "KINDS=SHARE with a share from 0 to 1", "write boxes=0.7,nothing=0.3"
        raise InputError("mix", rule, repr(part), remedy)
    return share


def read_kinds(text: str, separator: str = ",") -> Kinds:
    """Return the kinds that one image gets.

    Args:
        text: Their names.
        separator: Between them.

    Returns:
        The names, each once.

    Raises:
        InputError: One is unknown, or cannot be had beside another.
    """
    kinds = tuple(dict.fromkeys(name.strip() for name in text.split(separator)))
    known = (*KINDS, MASKS, NOTHING)
    for kind in kinds:
        if kind not in known:
            raise InputError("kinds", f"of {', '.join(known)}", repr(kind), "choose among them")
    alone = [kind for kind in kinds if kind in _ALONE]
    if (alone and len(kinds) > 1) or {"boxes", "extremes"} <= {*kinds}:
        rule = f"one of {', '.join(_ALONE)} alone, or others with boxes or extremes"
        raise InputError("kinds", rule, " and ".join(kinds), "drop one of them")
    return kinds


def assign(ids: Sequence[str], mix: Mapping[Kinds, float], seed: int) -> dict[str, Kinds]:
    """Return what each image gets.

    Args:
        ids: The images, in any order.
        mix: Shares that add up to 1.
        seed: Decides who gets what.

    Returns:
        Kinds by id; as many images of each as its share says, up to less than one.
    """
    exact = np.array(list(mix.values())) * len(ids)
    counts = np.floor(exact + 1e-9).astype(int)
    rest = len(ids) - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1
    given = [kinds for kinds, count in zip(mix, counts, strict=True) for _ in range(count)]
    shuffled = np.random.default_rng(seed).permutation(len(ids))
    return {id: given[place] for id, place in zip(sorted(ids), shuffled, strict=True)}


def simulate_dataset(
    root: Path,
    out: Path,
    mix: Mapping[Kinds, float],
    hand: Hand,
    *,
    split: str = "train",
    format: str = "auto",
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
) -> Simulated:
    """Write weak annotations of a data set with full masks.

    An image's annotations depend on the seed, its id and its mask alone.

    Args:
        root: The data set's folder.
        out: The JSON Lines file, written last and atomically; masks lie beside it in
            ``<stem>_masks``.
        mix: Shares of the images by what they get.
        hand: How the person annotates.
        split: The split to annotate.
        format: A key of ``READERS``, or "auto" to find out.
        seed: The same seed gives the same file.
        workers: Processes; None is one a core.
        overwrite: Replace the file where there is one.

    Returns:
        What was written.

    Raises:
        InputError: As ``read_dataset``; or the file exists, is not named .jsonl, or no image has
            a mask.
    """
    _check_out(out, overwrite)
    truth = read_truth(root, format, [split])
    samples = [truth.with_mask(s) for s in truth.samples(split) if truth.covers(s)]
    if not samples:
        remedy = "choose a split with masks or polygons"
        raise InputError(f"split {split!r} of {root}", "of images with masks", "none", remedy)
    chosen = assign([sample.id for sample in samples], mix, seed)
    masks = out.parent.absolute() / f"{out.stem}_masks"
    work = partial(_annotated, n_classes=len(truth.classes), hand=hand, seed=seed, masks=masks)
    results = list(track(_each(work, samples, chosen, workers), "simulate", len(samples)))
    drawn = sorted((r for r in results if isinstance(r, Sample)), key=lambda s: s.id)
    damaged = sorted((r for r in results if isinstance(r, Skipped)), key=lambda r: r.id)
    write_jsonl(out, truth.classes, drawn)
    seconds = sum(
        seconds_of(s, EXTREME_BOX if "extremes" in chosen[s.id] else DRAWN_BOX) for s in drawn
    )
    return Simulated(tuple(drawn), (*_uncovered(truth, split), *damaged), seconds)


def _check_out(out: Path, overwrite: bool) -> None:
    if out.suffix.lower() != ".jsonl":
        raise InputError(f"OUT {out}", "named .jsonl", repr(out.suffix), "name it so")
    if out.exists() and not overwrite:
        remedy = "choose another name or add --overwrite"
        raise InputError(f"OUT {out}", "a new file", "one that exists", remedy)


def _uncovered(truth: Truth, split: str) -> Iterator[Skipped]:
    problems = truth.dataset.problems
    yield from (Skipped(p.subject, p.message) for p in problems if p.fatal)
    bare = (sample for sample in truth.samples(split) if not truth.covers(sample))
    yield from (Skipped(sample.id, "it has no full mask") for sample in bare)


def _each(
    work: Callable[..., Sample],
    samples: Sequence[Sample],
    chosen: Mapping[str, Kinds],
    workers: int | None,
) -> Iterator[Sample | Skipped]:
    groups: dict[Kinds, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[chosen[sample.id]].append(sample)
    for kinds, group in groups.items():
        yield from map_locally(partial(work, kinds=kinds), group, workers, strict=False)


def _annotated(
    sample: Sample, *, kinds: Kinds, n_classes: int, hand: Hand, seed: int, masks: Path
) -> Sample:
    annotations: tuple[Annotation, ...] = ()
    if kinds != (NOTHING,):
        label_map = true_label_map(sample, n_classes)
        if kinds == (MASKS,):
            path = masks / f"{sample.id}.png"
            write_label_map(path, label_map)
            annotations = (MaskFile(path),)
        else:
            seen = look(label_map, _instances(sample), hand.least_area)
            annotations = annotate(seen, kinds, hand, (seed, *sample.id.encode()))
    return replace(sample, annotations=annotations)


def _instances(sample: Sample) -> NDArray[np.intp] | None:
    """Number the objects of an image, where the truth has them one by one."""
    (mask,) = sample.annotations
    if not isinstance(mask, Regions):
        return None
    numbers = np.zeros(sample.size, np.intp)
    drawn = [region_mask(region, sample.size) for region in mask.items if not region.crowd]
    for number, pixels in enumerate(sorted(drawn, key=lambda pixels: -pixels.sum()), 1):
        numbers[pixels] = number
    return numbers
