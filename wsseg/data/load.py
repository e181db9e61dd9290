"""The weak labels that a run learns from: a base, and what is laid over it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wsseg.data.classes import is_full
from wsseg.data.formats import OVERLAYS, detect_format, joined, read_dataset
from wsseg.data.formats.draft import Use
from wsseg.data.formats.files import read_ids
from wsseg.data.formats.paged import with_marks
from wsseg.data.model import Annotation, Boxes, Dataset, Regions, Sample, Tags
from wsseg.data.params import DataParams
from wsseg.data.strokes import Strokes
from wsseg.errors import InputError


def read_weak(data: DataParams) -> Dataset:
    """Return the weak labels that a run learns from.

    Args:
        data: Where they lie, which of them are wanted, and what is laid over them.

    Returns:
        The data set of ``data.splits``.

    Raises:
        InputError: As ``read_dataset``, or the format has no such labels.
    """
    use: Use = "boxes" if data.weak == "boxes_as_tags" else data.weak
    dataset = read_dataset(data.root, data.format, data.splits, use)
    if data.weak == "boxes_as_tags":
        dataset = tags_from_boxes(dataset)
    if data.annotations:
        dataset = with_annotations(dataset, data.annotations)
    if data.corrections:
        dataset = with_marks(dataset, data.corrections, OVERLAYS, instead=True)
    if data.masks:
        dataset = _with_given_masks(dataset, data.masks, data)
    return replace(dataset, samples=tuple(_as_set(sample, data) for sample in dataset.samples))


def with_annotations(dataset: Dataset, paths: Sequence[Path]) -> Dataset:
    """Return a data set with more annotations on its images.

    Args:
        dataset: Its images are found by path or name.
        paths: Files of ``OVERLAYS`` or folders of such files, or folders of other data sets, whose
            masks are taken.

    Returns:
        The same images, with what was drawn on them there.

    Raises:
        InputError: As ``with_marks``, or another data set has other classes.
    """
    folders = [path for path in paths if path.is_dir() and not _has_marks(path)]
    dataset = with_marks(dataset, [path for path in paths if path not in folders], OVERLAYS)
    for folder in folders:
        dataset = _with_masks(dataset, folder)
    return dataset


def _has_marks(folder: Path) -> bool:
    return any(format.files(folder) for format in OVERLAYS.values())


def _with_masks(dataset: Dataset, folder: Path) -> Dataset:
    try:
        format = detect_format(folder)
    except InputError as error:
        rule = f"of a known format ({', '.join(OVERLAYS)}), or a data set with masks"
        got, remedy = "neither", "export it as one of them"
        raise InputError(f"data.annotations {folder}", rule, got, remedy) from error
    other = read_dataset(folder, format, use="masks")
    if other.classes != dataset.classes:
        rule, got = f"of the classes {', '.join(dataset.classes)}", ", ".join(other.classes)
        raise InputError(f"data.annotations {folder}", rule, got, "export it with these classes")
    masks = {(sample.split, sample.id): sample.annotations for sample in other.samples}
    laid_over = joined(dataset, replace(other, problems=()))
    if not masks.keys() & {(sample.split, sample.id) for sample in dataset.samples}:
        got, remedy = "none of them", "check data.annotations and data.root"
        raise InputError(folder, "about images of the data set, in its splits", got, remedy)
    return replace(laid_over, problems=(*dataset.problems, *other.problems))


def _with_given_masks(dataset: Dataset, listed: Path, data: DataParams) -> Dataset:
    """Return a data set with the data set's own masks on the listed training images, no others."""
    if not (wanted := {*read_ids(listed)}):
        raise InputError(f"data.masks {listed}", "a list of images", "an empty file", "list some")
    masks = read_dataset(data.root, data.format, (data.train,), "masks")
    given = tuple(s for s in masks.samples if s.id in wanted and any(map(is_full, s.annotations)))
    if missing := sorted(wanted - {sample.id for sample in given}):
        rule = f"made of images of split {data.train!r} that have masks"
        got = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise InputError(f"data.masks {listed}", rule, got, "correct the list or add the masks")
    return replace(joined(dataset, Dataset(masks.classes, given)), problems=dataset.problems)


def _as_set(sample: Sample, data: DataParams) -> Sample:
    return replace(sample, annotations=tuple(_marks_as_set(a, data) for a in sample.annotations))


def _marks_as_set(drawn: Annotation, data: DataParams) -> Annotation:
    if not isinstance(drawn, Strokes | Regions):
        return drawn
    if data.closed is not None:
        drawn = replace(drawn, closed=data.closed)
    if isinstance(drawn, Strokes) and data.stroke_width:
        items = (replace(item, width=item.width or data.stroke_width) for item in drawn.items)
        drawn = replace(drawn, items=tuple(items))
    return drawn


def tags_from_boxes(dataset: Dataset) -> Dataset:
    """Return a data set that knows which classes its boxes have, and no longer where they are.

    Args:
        dataset: With boxes; crowds count as present.

    Returns:
        The same images, ``Boxes`` replaced by ``Tags``; those without boxes stay as they are.
    """
    return replace(dataset, samples=tuple(_tagged(sample) for sample in dataset.samples))


def _tagged(sample: Sample) -> Sample:
    others: list[Annotation] = [a for a in sample.annotations if not isinstance(a, Boxes)]
    if len(others) == len(sample.annotations):
        return sample
    tags = Tags(tuple(sorted({box.label for box in sample.boxes})))
    return replace(sample, annotations=(*others, tags))
