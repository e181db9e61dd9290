"""Data sets of annotation tools: files of marks by class name, beside a folder of images."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from wsseg.data.formats.paths import ImageIndex, inside, matching_files, tail_of
from wsseg.data.formats.raw import Format, RawDataset, RawFile, RawImage, split_in
from wsseg.data.formats.reading import (
    DAMAGED,
    ProblemLog,
    SampleList,
    choose_splits,
    classes_of,
    is_background,
)
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.images import image_size


def tool_format(
    name: str,
    sign: str,
    patterns: Sequence[str],
    fits: Callable[[Path], bool],
    read_file: Callable[[Path], RawFile],
    *,
    image_per_file: bool = False,
) -> Format:
    """Return the format of an annotation tool, whose files stand alone or are laid over others.

    Args:
        patterns: Globs of its files below a data set folder; the other arguments are those of
            ``Format``.
    """

    def files(root: Path) -> Iterable[Path]:
        return matching_files(root, patterns, fits)

    def read(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
        paths = [inside(path, root) for path in files(root)]
        log = ProblemLog()
        return _assemble(root, splits, list(read_files(paths, read_file, image_per_file, log)), log)

    def detect(root: Path) -> bool:
        return any(True for _ in files(root))

    return Format(name, sign, detect, read, False, files, fits, read_file, image_per_file)


def read_files(
    paths: Iterable[Path],
    read_file: Callable[[Path], RawFile],
    image_per_file: bool,
    log: ProblemLog,
) -> Iterator[tuple[Path, RawFile]]:
    """Yield the content of files; a damaged one is skipped if each file is about one image.

    Raises:
        InputError: A file about many images is damaged, or every file is.
    """
    damaged: InputError | None = None
    any_read = False
    for path in paths:
        try:
            content = read_file(path)
        except InputError as error:
            if not image_per_file:
                raise
            damaged = error
            log.add(path.name, str(error), DAMAGED, fatal=True)
        else:
            any_read = True
            yield path, content
    if damaged and not any_read:
        raise damaged


def _assemble(
    root: Path,
    splits: Sequence[str] | None,
    files: Sequence[tuple[Path, RawFile]],
    log: ProblemLog,
) -> RawDataset:
    """Return the data set of a folder that an annotation tool wrote.

    An image belongs to the split that the file gives it, else to that which the file or the nearest
    folder above it is named after (train, val, test, ...), else to "train". Images are searched in
    images/<split>, images, <split> and the root.
    """
    classes = _classes(root, [content for _, content in files])
    by_image: dict[tuple[str, str], list[RawImage]] = defaultdict(list)
    for path, content in files:
        for problem in content.problems:
            log.add_line(problem.subject, problem.message, problem.kind)
        parts = path.relative_to(root).with_suffix("").parts[::-1]
        of_file = split_in(parts) or "train"
        for image in content.images:
            by_image[image.split or of_file, image.image].append(image)
    known = sorted({split for split, _ in by_image})
    chosen = choose_splits(root, splits, known, "a split with images", "no image")
    samples, index = SampleList(), ImageIndex(root)
    for split in chosen:
        folders = [root / "images" / split, root / "images", root / split, root]
        found: dict[tuple[str, Path], list[str]] = defaultdict(list)
        for name in (name for of, name in by_image if of == split):
            first = by_image[split, name][0]
            with log.image(first.subject):
                found[index.find_any((name, *first.other_names), folders)].append(name)
        for (id, path), names in found.items():
            images = [image for name in names for image in by_image[split, name]]
            with log.image(images[0].subject):
                _check_names(names, path)
                sizes = (image.size for image in images if image.size)
                size = next(sizes, None) or image_size(path)
                samples.add(Sample(id, path, size, (), split), *images)
    every = tuple(image for images in by_image.values() for image in images)
    return RawDataset(root, classes, samples.samples, log.problems, images=every)


def _check_names(names: Sequence[str], path: Path) -> None:
    """Refuse names in different folders that were found to be the same image."""
    folders = {tail_of(name).parent for name in names if tail_of(name).parts[1:]}
    if len(folders) > 1:
        message = f"Only {path} can be {' and '.join(names[:3])}, which are different images"
        raise InputError(message, hint="keep their folders, as in the annotation files")


def _classes(root: Path, files: Sequence[RawFile]) -> Classes:
    if listed := {content.names for content in files if content.names}:
        if len(listed) > 1:
            rule, remedy = "the same in all files", "export all splits together"
            raise InputError(f"classes in {root}", rule, "different lists", remedy)
        return classes_of(listed.pop(), str(root))
    images = [image for content in files for image in content.images]
    drawn = {mark.name for image in images for mark in image.marks if mark.kind != "mask"}
    tagged = {
        name
        for image in images
        if not image.tags_are_remarks
        for name in (*(image.tags or ()), *image.unsure)
    }
    names = {name for name in drawn | tagged if name and not is_background(name)}
    # Remarks such as "reviewed" name classes only if nothing else does.
    remarks = {name for image in images for name in (*(image.tags or ()), *image.unsure)}
    return classes_of(sorted(names or remarks - {""}), str(root))
