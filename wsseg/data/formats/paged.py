"""Data sets of annotation tools, and their files laid over other data sets."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from wsseg.data.formats.draft import Draft, Use, classes_of
from wsseg.data.formats.files import inside, locate, safe_name
from wsseg.data.formats.marks import annotations_of, merged, names_of
from wsseg.data.formats.pages import Page, PageFormat, Pages
from wsseg.data.model import Annotation, Classes, Dataset, Problem, Sample
from wsseg.errors import InputError
from wsseg.images import image_size

_SPLITS = ("train", "training", "val", "valid", "validation", "test")


def read_paged(format: PageFormat, root: Path, splits: Sequence[str], use: Use) -> Dataset:
    """Return the samples of a folder that an annotation tool wrote.

    An image belongs to the split that the file gives it, else to that which the file is named
    after (train, val, test, ...), else to "train".

    Args:
        format: Of its files.
        root: Holds the files, or ``annotations/`` does; images in images/<split>, images, <split>
            or root.
        splits: Names of splits.
        use: "boxes", "tags", "masks" from polygons and masks, or "all" as it is drawn.

    Returns:
        The data set.

    Raises:
        InputError: A split is unknown, a file is damaged, or there is no class.
    """
    draft = Draft(use)
    read = dict(_read([inside(path, root) for path in format.files(root)], format, draft))
    classes = _classes(root, read)
    by_image: dict[tuple[str, str], list[Page]] = defaultdict(list)
    for path, pages in read.items():
        _note(pages, draft)
        for page in pages.pages:
            by_image[_split(page, path), page.image].append(page)
    known = sorted({split for split, _ in by_image})
    for split in splits:
        if split not in known:
            remedy = f"known: {', '.join(known) or 'none'}"
            raise InputError(f"split {split!r}", "a split with images", "no image", remedy)
        for (of, image), found in by_image.items():
            if of == split:
                with draft.image(found[0].subject):
                    draft.add(_sample(root, (split, image), found, classes, draft))
    return draft.dataset(classes)


def paged_splits(format: PageFormat, root: Path) -> tuple[str, ...]:
    """Return the splits of a folder that an annotation tool wrote.

    Args:
        format: Of its files.
        root: The data set's folder.

    Returns:
        Their names.

    Raises:
        InputError: A file is damaged.
    """
    files = [inside(path, root) for path in format.files(root)]
    read = _read(files, format, Draft("none"))
    return tuple(sorted({_split(page, path) for path, pages in read for page in pages.pages}))


def with_marks(
    dataset: Dataset,
    paths: Iterable[Path],
    formats: Mapping[str, PageFormat],
    *,
    instead: bool = False,
) -> Dataset:
    """Return a data set with more annotations on its images.

    Args:
        dataset: Its images are found by their path, or by their name where only one image has it;
            suffixes do not count, nor do images of another split than the file names.
        paths: Files of any of the formats, or folders of such files.
        formats: By name.
        instead: Whether an image that a file is about loses what it had before.

    Returns:
        The same images; marks of others are not used, those of unknown classes left out and noted.

    Raises:
        InputError: A file is missing, damaged or of no known format, is about none of the images,
            or numbers its classes otherwise.
    """
    finder, draft = _Finder(dataset.samples), Draft("all")
    samples = {(sample.split, sample.id): sample for sample in dataset.samples}
    replaced = set[tuple[str, str]]()
    for path in paths:
        lost, found = list[str](), 0
        for file, pages in _read(*_files(path, formats), draft):
            _check_numbers(pages, dataset.classes, file)
            _note(pages, draft)
            root = path if path.is_dir() else file.parent
            for page in pages.pages:
                if (place := finder.find(page)) is None:
                    lost.append(page.image)
                    continue
                found += 1
                fits = page.size in {None, samples[place].size}
                if instead and fits and place not in replaced:
                    samples[place] = replace(samples[place], annotations=())
                    replaced.add(place)
                with draft.image(page.subject):
                    samples[place] = _laid_over(page, samples[place], dataset.classes, draft, root)
        _tell_lost(path, lost, found, draft)
    problems = (*dataset.problems, *draft.dataset(dataset.classes).problems)
    return replace(dataset, samples=tuple(samples.values()), problems=problems)


class _Finder:
    """Finds the image that a page is about, by the names of both."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.places: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for sample in samples:
            for name in {sample.id, PurePosixPath(sample.id).name}:
                self.places[name].append((sample.split, sample.id))

    def find(self, page: Page) -> tuple[str, str] | None:
        path = PurePosixPath(page.image)
        for name in (path, path.with_suffix("") if path.suffix else path):
            for asked in (name.as_posix(), name.name):
                places = self.places.get(asked, [])
                exact = [place for place in places if place[1] == asked] or places
                fits = [place for place in exact if page.split in {None, place[0]}]
                if len(fits) == 1:
                    return fits[0]
        return None


def _laid_over(page: Page, sample: Sample, classes: Classes, draft: Draft, root: Path) -> Sample:
    if page.size and page.size != sample.size:
        message = _of_another_size(page.size, sample.size)
        draft.note_line(page.subject, message, "marks of another size")
        return sample
    more = annotations_of(page, sample.size, classes, draft, root)
    return replace(sample, annotations=merged((*sample.annotations, *more)))


def _check_numbers(pages: Pages, classes: Classes, file: Path) -> None:
    """Refuse masks whose numbers mean other classes than those of the data set."""
    is_numbered = any(mark.kind == "mask" for page in pages.pages for mark in page.marks)
    if is_numbered and pages.names and classes_of(pages.names, str(file)) != classes:
        rule, got = f"those of the data set ({', '.join(classes)})", ", ".join(pages.names)
        raise InputError(f"classes of {file}", rule, got, "number its masks by that list")


def _tell_lost(path: Path, lost: Sequence[str], found: int, draft: Draft) -> None:
    if not found:
        first = next((problem.message for problem in draft.problems), "")
        got = f"none of them ({first})" if first else "none of them"
        remedy = "check data.annotations and data.root"
        raise InputError(path, "about images of the data set", got, remedy)
    if lost:
        shown = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
        message = f"{len(lost)} of {len(lost) + found} images are not in the data set's splits, or"
        draft.note(str(path), f"{message} several are called so: {shown}", "marks without an image")


def _of_another_size(given: tuple[int, int], size: tuple[int, int]) -> str:
    drawn, image = (f"{width}x{height}" for height, width in (given, size))
    return f"drawn on {drawn} pixels, but the image is {image}; left out, draw on this image"


def _files(path: Path, formats: Mapping[str, PageFormat]) -> tuple[list[Path], PageFormat]:
    if not path.exists():
        raise InputError(
            f"data.annotations {path}", "a file or folder", "nothing", "check the path"
        )
    for format in formats.values():
        files = format.files(path) if path.is_dir() else [path] if format.fits(path) else []
        if files:
            return files, format
    rule, remedy = f"of a known format ({', '.join(formats)})", "export it as one of them"
    raise InputError(f"data.annotations {path}", rule, "another", remedy)


def _read(files: Sequence[Path], format: PageFormat, draft: Draft) -> Iterator[tuple[Path, Pages]]:
    """Yield what files say; of files of an image each, a damaged one costs its image only."""
    damaged: InputError | None = None
    any_read = False
    for path in files:
        try:
            pages = format.read(path)
        except InputError as error:
            if not format.an_image_a_file:
                raise
            damaged = error
            draft.problems.append(Problem(path.name, str(error), fatal=True, kind="damaged file"))
        else:
            any_read = True
            yield path, pages
    if damaged and not any_read:
        raise damaged


def _classes(root: Path, read: Mapping[Path, Pages]) -> Classes:
    if listed := {pages.names for pages in read.values() if pages.names}:
        if len(listed) > 1:
            rule, remedy = "the same in all files", "export all splits together"
            raise InputError(f"classes in {root}", rule, "different lists", remedy)
        return classes_of(listed.pop(), str(root))
    return classes_of(names_of(page for pages in read.values() for page in pages.pages), str(root))


def _split(page: Page, path: Path) -> str:
    return page.split or (path.stem if path.stem.lower() in _SPLITS else "train")


def _sample(
    root: Path, place: tuple[str, str], pages: Sequence[Page], classes: Classes, draft: Draft
) -> Sample:
    split, image = place
    folders = [root / "images" / split, root / "images", root / split, root]
    path = locate(image, folders, root)
    size = next((page.size for page in pages if page.size), None) or image_size(path)
    made: list[Annotation] = []
    for page in pages:
        made += annotations_of(page, size, classes, draft, root)
    return Sample(safe_name(image).with_suffix("").as_posix(), path, size, merged(made), split)


def _note(pages: Pages, draft: Draft) -> None:
    for problem in pages.problems:
        draft.note_line(*problem)
