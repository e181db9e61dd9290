"""Lay annotation files over the images of another data set."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from wsseg.data.annotation import Annotation, Unknown
from wsseg.data.formats.fitting import Fitter, View
from wsseg.data.formats.paths import as_uploaded, best_matches, tail_of
from wsseg.data.formats.raw import Format, RawFile, RawImage
from wsseg.data.formats.reading import ProblemLog, classes_of, merged
from wsseg.data.formats.tools import read_files
from wsseg.data.model import Classes, Dataset
from wsseg.errors import InputError

Place = tuple[str, str]
"""Split and id of an image."""


@dataclass(frozen=True)
class OverlayFile:
    """A file that is laid over a data set, and the folder that its mask files must lie in."""

    path: Path
    root: Path
    content: RawFile


class Overlay:
    """A data set while annotations are laid over it.

    Images are identified by the unique last parts of their path, without suffixes, and within the
    split that the file names. Marks of unknown classes are left out and reported.

    Args:
        instead: Whether the annotations of a file replace those that its images had. A file that
            says nothing about an image, such as one that nobody has annotated, replaces nothing.
    """

    def __init__(self, dataset: Dataset, *, instead: bool = False) -> None:
        self.before, self.instead, self.log = dataset, instead, ProblemLog()
        self.setting = "data.corrections" if instead else "data.annotations"
        self.samples = {(sample.split, sample.id): sample for sample in dataset.samples}
        self.replaced = set[Place]()
        self.by_name: dict[str, list[Place]] = defaultdict(list)
        for sample in dataset.samples:
            name = PurePosixPath(sample.id).name
            for known in {name, as_uploaded(name)}:
                self.by_name[known].append((sample.split, sample.id))

    @property
    def dataset(self) -> Dataset:
        """The data set with everything that was laid over it."""
        problems = (*self.before.problems, *self.log.problems)
        return replace(self.before, samples=tuple(self.samples.values()), problems=problems)

    def read(self, path: Path, formats: Mapping[str, Format]) -> Iterator[OverlayFile]:
        """Yield what a file or folder of files says.

        Raises:
            InputError: A file is missing, damaged or of no known format.
        """
        files, format = find_files(path, formats, self.setting)
        if format is None or format.read_file is None:
            rule, remedy = f"of a known format ({', '.join(formats)})", "export it as one of them"
            raise InputError(f"{self.setting} {path}", rule, "another", remedy)
        contents = read_files(files, format.read_file, format.image_per_file, self.log)
        for file, content in contents:
            yield OverlayFile(file, path if path.is_dir() else file.parent, content)

    def add(self, path: Path, files: Iterable[OverlayFile], kind: View = "all") -> None:
        """Lay files over the images.

        Args:
            path: Named in errors.
            kind: Which annotations are used; see ``view``.

        Raises:
            InputError: The files name none of the images, or number the classes differently.
        """
        lost, n_used, images = list[str](), 0, list[tuple[Place, RawImage, Path]]()
        for file in files:
            _check_numbers(file.content, self.before.classes, file.path)
            for problem in file.content.problems:
                self.log.add_line(problem.subject, problem.message, problem.kind)
            for image in file.content.images:
                if (place := self._find(image)) is None:
                    lost.append(image.image)
                else:
                    images.append((place, image, file.root))
        mixed_up = _mixed_up((place, image) for place, image, _ in images)
        for place, image, root in images:
            if place in mixed_up:
                lost.append(image.image)
                continue
            n_used += 1
            with self.log.image(image.subject):
                self._lay(image, place, root, kind)
        self._report(path, lost, n_used)

    def add_masks(self, path: Path, masks: Dataset) -> None:
        """Lay the full masks of another data set over the images of the same split and id.

        Raises:
            InputError: The masks are numbered by other classes, or are about none of the images.
        """
        if masks.classes != self.before.classes:
            rule, got = f"of the classes {', '.join(self.before.classes)}", ", ".join(masks.classes)
            subject = f"{self.setting} {path}"
            raise InputError(subject, rule, got, "export it with these classes")
        self.log.extend(masks.problems)
        n_used, lost = 0, list[str]()
        for mask in masks.samples:
            place = mask.split, mask.id
            if place in self.samples:
                n_used += 1
                self._put(place, mask.annotations)
            elif mask.annotations:
                lost.append(mask.id)
        if not n_used:
            rule, got = "about images of the data set, in its splits", "none of them"
            raise InputError(path, rule, got, f"check {self.setting} and data.root")

    def _report(self, path: Path, lost: list[str], n_used: int) -> None:
        if not n_used:
            first = next((problem.message for problem in self.log.problems), "")
            got = f"none of them ({first})" if first else "none of them"
            remedy = f"check {self.setting} and data.root"
            raise InputError(path, "about images of the data set", got, remedy)
        if lost:
            names = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
            message = f"{len(lost)} of {len(lost) + n_used} images are not in the data set's splits"
            message = f"{message}, or several have the name: {names}"
            self.log.add(str(path), message, "marks without an image")

    def _find(self, image: RawImage) -> Place | None:
        """Return the only image that an entry can mean, None if there is none or several."""
        for name in (image.image, *image.other_names):
            path = tail_of(name)
            for written in dict.fromkeys((path, path.with_suffix(""))):
                found = [
                    place
                    for place in self.by_name.get(written.name, [])
                    if image.split in {None, place[0]}
                ]
                exact = [place for place in found if place[1] == written.as_posix()]
                # Of images in several folders, the one that shares the last folders is meant.
                best = exact or _closest(written, found)
                if len(best) == 1:
                    return best[0]
        return None

    def _lay(self, image: RawImage, place: Place, root: Path, kind: View) -> None:
        sample = self.samples[place]
        if image.size and image.size != sample.size:
            sizes = (f"{width}x{height}" for height, width in (image.size, sample.size))
            message = "drawn on {} pixels, but the image is {}".format(*sizes)
            message = f"{message}; left out, draw on this image"
            self.log.add_line(image.subject, message, "marks of another size")
            return
        fitter = Fitter(image, sample.size, self.before.classes, self.log, root)
        annotations = fitter.annotations(kind)
        if not annotations and self.instead:
            message = "nothing is annotated, so the image keeps its annotations; tag it background"
            message = f"{message} if it shows no object"
            self.log.add_line(image.subject, message, "nothing to replace")
        self._put(place, annotations)

    def _put(self, place: Place, annotations: Iterable[Annotation]) -> None:
        """Add annotations to an image; the first that say something may replace the old ones."""
        sample, more = self.samples[place], tuple(annotations)
        before = sample.annotations
        if self.instead and any(not isinstance(annotation, Unknown) for annotation in more):
            before = before if place in self.replaced else ()
            self.replaced.add(place)
        self.samples[place] = replace(sample, annotations=merged((*before, *more)))


def _closest(written: PurePosixPath, places: list[Place]) -> list[Place]:
    """Return the places that a written path means best.

    They are those whose id ends the path, the longest one, or else those whose ids share the most
    folders with it, counted from the last.
    """
    ends = [place for place in places if f"/{written}".endswith(f"/{place[1]}")]
    if len(places) < 2 or ends:
        longest = max((len(id) for _, id in ends), default=0)
        return [place for place in ends if len(place[1]) == longest] or places
    best = {*best_matches(written, {Path(id) for _, id in places})}
    return [place for place in places if Path(place[1]) in best]


def _mixed_up(images: Iterable[tuple[Place, RawImage]]) -> set[Place]:
    """Return the places that entries about images of different folders were found to mean."""
    folders: dict[Place, set[PurePosixPath]] = defaultdict(set)
    for place, image in images:
        path = tail_of(image.image)
        if path.parts[1:]:
            folders[place].add(path.parent)
    return {place for place, found in folders.items() if len(found) > 1}


def _check_numbers(content: RawFile, classes: Classes, file: Path) -> None:
    """Refuse masks whose numbers mean other classes than those of the data set."""
    is_numbered = any(mark.kind == "mask" for image in content.images for mark in image.marks)
    if is_numbered and content.names and classes_of(content.names, str(file)) != classes:
        rule, got = f"those of the data set ({', '.join(classes)})", ", ".join(content.names)
        raise InputError(f"classes of {file}", rule, got, "number its masks by that list")


def find_files(
    path: Path, formats: Mapping[str, Format], setting: str = "data.annotations"
) -> tuple[list[Path], Format | None]:
    """Return the annotation files of a folder, or a file, and the first format that they fit.

    Args:
        setting: Named in errors.

    Raises:
        InputError: There is no such file or folder.
    """
    if not path.exists():
        raise InputError(f"{setting} {path}", "a file or folder", "nothing", "check the path")
    for format in formats.values():
        if path.is_dir():
            files = list(format.files(path)) if format.files else []
        else:
            files = [path] if format.fits and format.fits(path) else []
        if files:
            return files, format
    return [], None
