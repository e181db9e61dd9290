"""Simulate the weak annotations of a data set that has full masks."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Annotation, Boxes, MaskFile, Regions, Tags
from wsseg.data.constraints import region_mask
from wsseg.data.model import Sample
from wsseg.data.strokes import Strokes
from wsseg.data.truth import read_truth, true_label_map
from wsseg.data.writers.jsonl import write_jsonl
from wsseg.errors import InputError
from wsseg.labelmaps import write_label_map
from wsseg.parallel import Skipped, map_locally
from wsseg.synthetic.annotator import annotate, find_objects
from wsseg.synthetic.costs import DRAWN_BOX, EXTREME_BOX, MASK, seconds_of
from wsseg.synthetic.params import MASKS, NOTHING, Kinds, SimulationParams

_SHOWN = 5  # skipped images that a summary names

Progress: TypeAlias = Callable[..., Iterator[Any]]
"""Wraps an iterator as ``tqdm`` does: called as ``progress(items, total=n)``."""


@dataclass(frozen=True)
class Simulated:
    """The simulated annotations of a data set.

    Attributes:
        samples: Ordered by id.
        skipped: Images without a readable mask.
        seconds: Annotation time of people.
    """

    samples: tuple[Sample, ...]
    skipped: tuple[Skipped, ...]
    seconds: float

    def lines(self) -> Iterator[str]:
        """Yield a summary: numbers of annotations, annotation time, skipped images."""
        yield f"{len(self.samples)} images"
        counts = [_counts(sample.annotations) for sample in self.samples]
        for kind, count in sorted(sum(counts, Counter[str]()).items()):
            yield f"  {kind}: {count} in {sum(kind in one for one in counts)} images"
        bare = sum(not sample.annotations for sample in self.samples)
        yield f"  without annotations: {bare} images"
        full = MASK * len(self.samples)
        share = f"{self.seconds / max(full, 1):.1%} of the {full / 3600:.1f} h of full masks"
        yield f"annotation time: {self.seconds:.0f} s ({self.seconds / 3600:.1f} h), {share}"
        yield from (f"skipped: {image.id}: {image.reason}" for image in self.skipped[:_SHOWN])
        if len(self.skipped) > _SHOWN:
            yield f"and {len(self.skipped) - _SHOWN} more skipped"


def _counts(annotations: Sequence[Annotation]) -> Counter[str]:
    """Return the number of marks of an image by kind, 0 for an annotation without marks."""
    counts = Counter[str]()
    for annotation in annotations:
        match annotation:
            case Tags():
                counts["tags"] += len(annotation.present)
            case Strokes():
                kinds = ("points" if len(s.points) == 1 else "scribbles" for s in annotation.items)
                counts.update(kinds)
            case MaskFile():
                counts["masks"] += 1
            case Boxes():
                counts["boxes"] += len(annotation.items)
            case Regions():
                counts["regions"] += len(annotation.items)
    return counts


def assign(ids: Sequence[str], mix: Mapping[Kinds, float], seed: int) -> dict[str, Kinds]:
    """Return random kinds of annotation by image id; the order of ``ids`` does not matter.

    The number of images of each kind differs from its share in ``mix`` by less than one.
    """
    exact = np.array(list(mix.values())) * len(ids)
    counts = np.floor(exact + 1e-9).astype(int)
    rest = len(ids) - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1
    deck = [kinds for kinds, count in zip(mix, counts, strict=True) for _ in range(count)]
    shuffled = np.random.default_rng(seed).permutation(len(ids))
    return {id: deck[place] for id, place in zip(sorted(ids), shuffled, strict=True)}


def _no_progress(items: Iterator[Any], total: int) -> Iterator[Any]:
    del total
    return items


def simulate_dataset(
    root: Path, out: Path, params: SimulationParams, progress: Progress = _no_progress
) -> Simulated:
    """Write weak annotations of a data set with full masks.

    The annotations of an image depend on the seed, its id and its mask only.

    Args:
        root: Folder of the data set.
        out: JSON Lines file, written last and atomically; masks are written beside it into
            ``<stem>_masks``.
        progress: Wraps the iterator over the images, such as ``tqdm.tqdm``.

    Raises:
        InputError: The data set cannot be read, the file exists or is not named .jsonl, or no image
            has a mask.
    """
    if out.suffix.lower() != ".jsonl":
        raise InputError(f"{out} must be named .jsonl", hint="rename it")
    if out.exists() and not params.overwrite:
        raise InputError(f"{out} exists", hint="choose another name or add --overwrite")
    truth = read_truth(root, params.format, [params.split])
    samples = [truth.with_mask(s) for s in truth.samples(params.split) if truth.covers(s)]
    if not samples:
        hint = "choose a split with masks or polygons"
        raise InputError(f"No image of the split {params.split!r} of {root} has a mask", hint=hint)
    kinds = assign([sample.id for sample in samples], params.shares, params.seed)
    masks = out.parent.absolute() / f"{out.stem}_masks"
    work = partial(_annotate, n_classes=len(truth.classes), params=params, masks=masks)
    mapped = _map_by_kinds(work, samples, kinds, params.workers)
    results = list(progress(mapped, total=len(samples)))
    annotated = sorted((r for r in results if isinstance(r, Sample)), key=lambda s: s.id)
    damaged = sorted((r for r in results if isinstance(r, Skipped)), key=lambda r: r.id)
    write_jsonl(out, truth.classes, annotated)
    seconds = sum(
        seconds_of(s, EXTREME_BOX if "extremes" in kinds[s.id] else DRAWN_BOX) for s in annotated
    )
    skipped = [Skipped(p.subject, p.message) for p in truth.dataset.problems if p.fatal]
    bare = (sample for sample in truth.samples(params.split) if not truth.covers(sample))
    skipped += (Skipped(sample.id, "it has no full mask") for sample in bare)
    return Simulated(tuple(annotated), (*skipped, *damaged), seconds)


def _map_by_kinds(
    work: Callable[..., Sample],
    samples: Sequence[Sample],
    kinds: Mapping[str, Kinds],
    workers: int | None,
) -> Iterator[Sample | Skipped]:
    groups: dict[Kinds, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[kinds[sample.id]].append(sample)
    for names, group in groups.items():
        yield from map_locally(partial(work, kinds=names), group, workers, strict=False)


def _annotate(
    sample: Sample, *, kinds: Kinds, n_classes: int, params: SimulationParams, masks: Path
) -> Sample:
    if kinds == (NOTHING,):
        return replace(sample, annotations=())
    label_map = true_label_map(sample, n_classes)
    if kinds == (MASKS,):
        path = masks / f"{sample.id}.png"
        write_label_map(path, label_map)
        return replace(sample, annotations=(MaskFile(path),))
    smallest = max(params.min_area, params.min_share * label_map.size)
    scene = find_objects(label_map, _instances(sample), smallest)
    annotations = annotate(scene, kinds, params, (params.seed, *sample.id.encode()))
    return replace(sample, annotations=annotations)


def _instances(sample: Sample) -> NDArray[np.intp] | None:
    """Return the number of the object of each pixel, if the mask consists of separate regions."""
    (mask,) = sample.annotations
    if not isinstance(mask, Regions):
        return None
    numbers = np.zeros(sample.size, np.intp)
    masks = [region_mask(region, sample.size) for region in mask.items if not region.crowd]
    # Smaller objects are numbered last, so that they stay visible in front of larger ones.
    for number, pixels in enumerate(sorted(masks, key=lambda pixels: -pixels.sum()), 1):
        numbers[pixels] = number
    return numbers
