"""The weak labels of a run: a data set, and the annotations that are laid over it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from wsseg.bands import ImageParams
from wsseg.data.annotation import Annotation, Boxes, Regions, Tags, Unknown
from wsseg.data.classes import candidate_classes, is_full
from wsseg.data.formats.files import opening_once, read_text
from wsseg.data.formats.fitting import View
from wsseg.data.formats.overlays import Overlay, OverlayFile, find_files
from wsseg.data.formats.paths import following_links
from wsseg.data.formats.raw import RawDataset, RawFile, RawImage
from wsseg.data.formats.reading import DAMAGED
from wsseg.data.formats.table import MARKS, OVERLAYS, detect_format, read_raw
from wsseg.data.formats.views import view
from wsseg.data.model import Classes, Dataset
from wsseg.data.params import DataParams
from wsseg.data.renaming import Renaming, rename_dataset, rename_file, renaming_of
from wsseg.data.split_names import matching_split
from wsseg.data.splitting import hold_out, hold_out_listed
from wsseg.data.strokes import Strokes
from wsseg.errors import InputError


def read_base(data: DataParams) -> RawDataset:
    """Return the content of the used splits, with ``data.classes`` and the settings of splits.

    Raises:
        InputError: As ``read_raw`` and ``prepare``.
    """
    raw = read_raw(data.root, data.format, None if data.is_divided else data.splits)
    raw = prepare(raw, data)
    samples = tuple(entry for entry in raw.samples if entry.sample.split in data.splits)
    return replace(raw, samples=samples)


def prepare(raw: RawDataset, data: DataParams) -> RawDataset:
    """Return a data set with the classes, split and reading of images that the settings describe.

    Raises:
        InputError: As ``renaming_of``, ``hold_out`` and ``hold_out_listed``.
    """
    samples = (replace(s, sample=replace(s.sample, reading=data.reading)) for s in raw.samples)
    raw = replace(raw, samples=tuple(samples))
    if data.crowds == "objects":
        raw = _without_crowds(raw)
    if data.classes is not None:
        raw = rename_dataset(raw, renaming_of(data.classes, raw.classes))
    if data.split is not None and data.val is not None:
        raw = hold_out(raw, data.train, data.val, data.split, data.group)
    if data.held_out is not None and data.val is not None:
        raw = hold_out_listed(raw, data.train, data.val, data.held_out, read_ids(data.held_out))
    return raw


def _without_crowds(raw: RawDataset) -> RawDataset:
    """Return a data set whose crowds are single objects."""

    def of_objects(image: RawImage) -> RawImage:
        objects = image.objects and tuple(replace(item, crowd=False) for item in image.objects)
        return replace(image, objects=objects)

    samples = (replace(s, images=tuple(map(of_objects, s.images))) for s in raw.samples)
    return replace(raw, samples=tuple(samples))


@contextmanager
def reading_files(data: DataParams) -> Iterator[None]:
    """Open each file once within the block, and follow links if the settings say so."""
    with opening_once(), following_links(data.links):
        yield


def read_weak(data: DataParams, raw: RawDataset | None = None) -> Dataset:
    """Return the images of ``data.splits`` with the weak labels that a run learns from.

    Args:
        raw: The content of the data set as ``read_base`` returns it, if it has been read already.

    Raises:
        InputError: As ``read_base``, or the format has no such labels.
    """
    kind: View = "boxes" if data.weak == "boxes_as_tags" else data.weak
    with reading_files(data):
        raw = raw or read_base(data)
        dataset = view(raw, kind)
        if data.weak == "boxes_as_tags":
            dataset = tags_from_boxes(dataset)
        dataset = lay_over(dataset, data, raw.files_classes)
        if data.masks:
            dataset = _with_given_masks(dataset, raw, data)
    samples = (
        replace(sample, annotations=tuple(_set_options(a, data) for a in sample.annotations))
        for sample in dataset.samples
    )
    return replace(dataset, samples=tuple(samples))


def with_reading(dataset: Dataset, reading: ImageParams) -> Dataset:
    """Return a data set whose images are read with this range and these bands."""
    return replace(dataset, samples=tuple(replace(s, reading=reading) for s in dataset.samples))


def lay_over(dataset: Dataset, data: DataParams, files_classes: Classes | None) -> Dataset:
    """Return a data set with the annotations and corrections of the settings laid over it.

    Args:
        files_classes: Classes in the files, if ``data.classes`` changed them.
    """
    adapt = Adaptation(frozenset(sample.split for sample in dataset.samples))
    if data.classes is not None and files_classes is not None:
        adapt = replace(adapt, renaming=renaming_of(data.classes, files_classes))
    if data.is_divided:
        adapt = replace(adapt, places={sample.id: sample.split for sample in dataset.samples})
    if data.annotations:
        dataset = with_annotations(dataset, data.annotations, adapt=adapt)
    if data.corrections:
        dataset = with_annotations(dataset, data.corrections, instead=True, adapt=adapt)
    return dataset


@dataclass(frozen=True)
class Adaptation:
    """What fits files to a data set whose classes or splits are not those of its own files.

    Args:
        splits: The splits of the data set.
        renaming: New names of the classes.
        places: Splits by image id, where a file's own names of splits do not count.
    """

    splits: frozenset[str] = frozenset()
    renaming: Renaming | None = None
    places: Mapping[str, str] | None = None

    def file(self, content: RawFile) -> RawFile:
        """Return what a file says, in the classes and splits of the data set."""
        images = (
            replace(image, split=None if self.places else matching_split(image.split, self.splits))
            if image.split
            else image
            for image in content.images
        )
        content = replace(content, images=tuple(images))
        return rename_file(content, self.renaming) if self.renaming else content

    def folder(self, raw: RawDataset) -> RawDataset:
        """Return another data set in the classes and splits of the data set."""
        if self.renaming and raw.classes == self.renaming.before:
            raw = rename_dataset(raw, self.renaming)
        samples = []
        for entry in raw.samples:
            split = matching_split(entry.sample.split, self.splits)
            split = (self.places or {}).get(entry.sample.id, split)
            samples.append(replace(entry, sample=replace(entry.sample, split=split)))
        return replace(raw, samples=tuple(samples))


@opening_once()
def with_annotations(
    dataset: Dataset,
    paths: Sequence[Path],
    *,
    instead: bool = False,
    adapt: Adaptation = Adaptation(),
) -> Dataset:
    """Return a data set with more annotations on its images.

    Args:
        dataset: Its images are found by path or name; see ``Overlay``.
        paths: Files of a format in ``OVERLAYS``, or folders of such files, which give weak labels;
            or folders of other data sets, which give their full masks if they have any.
        instead: Whether what a file says about an image replaces the annotations that it had.
        adapt: How the classes and splits of the files become those of the data set.

    Raises:
        InputError: A path is missing, damaged or of no known format, or is about none of the
            images, or masks are numbered by other classes.
    """
    overlay = Overlay(dataset, instead=instead)
    for path in paths:
        raw = _read_folder(path, overlay.setting)
        if raw is None:
            files = overlay.read(path, OVERLAYS)
            overlay.add(path, (replace(f, content=adapt.file(f.content)) for f in files))
            continue
        raw = adapt.folder(raw)
        other = view(raw, "masks")
        if any(sample.annotations for sample in other.samples) or not raw.images:
            overlay.add_masks(path, other)
        else:
            # That the folder has no images is no problem here.
            problems = tuple(p for p in raw.problems if not p.fatal or p.kind == DAMAGED)
            content = adapt.file(RawFile(raw.images, raw.classes.names, problems))
            objects = [item for image in raw.images for item in image.objects or ()]
            has_masks = any(item.polygons or item.encoded for item in objects)
            kind: View = "masks" if has_masks else "all"
            overlay.add(path, [OverlayFile(path, path, content)], kind)
    return overlay.dataset


def _read_folder(path: Path, setting: str) -> RawDataset | None:
    """Return the data set of a folder; None for files, and for folders of annotation files."""
    if not path.is_dir() or find_files(path, MARKS)[0]:
        return None
    try:
        format = detect_format(path)
    except InputError as error:
        if find_files(path, OVERLAYS)[0]:
            return None
        rule = f"of a known format ({', '.join(OVERLAYS)}), or a data set with masks"
        got, remedy = "neither", "export it as one of them"
        raise InputError(f"{setting} {path}", rule, got, remedy) from error
    return read_raw(path, format)


def joined(one: Dataset, other: Dataset) -> Dataset:
    """Return a data set with the annotations of another view of it added to its images.

    The result has the problems of both, each once.
    """
    more = {(sample.split, sample.id): sample.annotations for sample in other.samples}
    samples = tuple(
        replace(s, annotations=(*s.annotations, *more.get((s.split, s.id), ())))
        for s in one.samples
    )
    problems = tuple(dict.fromkeys((*one.problems, *other.problems)))
    return replace(one, samples=samples, problems=problems)


def _with_given_masks(dataset: Dataset, raw: RawDataset, data: DataParams) -> Dataset:
    """Return a data set with its own masks on the listed training images, no others."""
    listed = data.masks
    if listed is None or not (wanted := {*read_ids(listed)}):
        raise InputError(f"data.masks {listed}", "a list of images", "an empty file", "list some")
    samples = view(raw, "masks").split(data.train)
    masked = tuple(s for s in samples if s.id in wanted and any(map(is_full, s.annotations)))
    if missing := sorted(wanted - {sample.id for sample in masked}):
        rule = f"made of images of split {data.train!r} that have masks"
        got = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise InputError(f"data.masks {listed}", rule, got, "correct the list or add the masks")
    return joined(dataset, Dataset(dataset.classes, masked))


def _set_options(annotation: Annotation, data: DataParams) -> Annotation:
    if not isinstance(annotation, Strokes | Regions):
        return annotation
    if data.closed is not None:
        annotation = replace(annotation, closed=data.closed)
    if isinstance(annotation, Strokes) and data.stroke_width:
        width = data.stroke_width
        items = (replace(item, width=item.width or width) for item in annotation.items)
        annotation = replace(annotation, items=tuple(items))
    return annotation


def tags_from_boxes(dataset: Dataset) -> Dataset:
    """Return a data set whose boxes, crowds included, are replaced by tags of their classes.

    Classes of boxes that cannot be used are unsure. Images without ``Boxes`` stay as they are.
    """
    samples = []
    for sample in dataset.samples:
        others = tuple(a for a in sample.annotations if not isinstance(a, Boxes | Unknown))
        present = {box.label for box in sample.boxes}
        unsure = {*candidate_classes(sample, len(dataset.classes))} - present - {0}
        tags = Tags(tuple(sorted(present)), tuple(sorted(unsure)))
        has_boxes = any(isinstance(a, Boxes) for a in sample.annotations)
        samples.append(replace(sample, annotations=(*others, tags)) if has_boxes else sample)
    return replace(dataset, samples=tuple(samples))


def read_ids(path: Path) -> tuple[str, ...]:
    """Return the image ids that a file such as ``selected.txt`` lists in its lines, each once.

    Raises:
        InputError: As ``read_text``.
    """
    return tuple(dict.fromkeys(line for line in read_text(path).split("\n") if line.strip()))
