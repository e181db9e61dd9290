"""Lay annotation files over the images of another data set."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from wsseg.data.formats.fitting import Fitter, View
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

    Images are identified by their path, or by their name if only one image has it, without
    suffixes, and within the split that the file names. Marks of unknown classes are left out and
    reported.

    Args:
        instead: Whether the annotations of a file replace those that its images had.
    """

    def __init__(self, dataset: Dataset, *, instead: bool = False) -> None:
        self.before, self.instead, self.log = dataset, instead, ProblemLog()
        self.samples = {(sample.split, sample.id): sample for sample in dataset.samples}
        self.replaced = set[Place]()
        self.by_name: dict[str, list[Place]] = defaultdict(list)
        for sample in dataset.samples:
            for name in {sample.id, PurePosixPath(sample.id).name}:
                self.by_name[name].append((sample.split, sample.id))

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
        files, format = find_files(path, formats)
        if format is None or format.read_file is None:
            rule, remedy = f"of a known format ({', '.join(formats)})", "export it as one of them"
            raise InputError(f"data.annotations {path}", rule, "another", remedy)
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
        lost, n_used = list[str](), 0
        for file in files:
            _check_numbers(file.content, self.before.classes, file.path)
            for problem in file.content.problems:
                self.log.add_line(problem.subject, problem.message, problem.kind)
            for image in file.content.images:
                if (place := self._find(image)) is None:
                    lost.append(image.image)
                    continue
                n_used += 1
                with self.log.image(image.subject):
                    self._lay(image, place, file.root, kind)
        if not n_used:
            first = next((problem.message for problem in self.log.problems), "")
            got = f"none of them ({first})" if first else "none of them"
            remedy = "check data.annotations and data.root"
            raise InputError(path, "about images of the data set", got, remedy)
        if lost:
            names = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
            message = f"{len(lost)} of {len(lost) + n_used} images are not in the data set's splits"
            message = f"{message}, or several have the name: {names}"
            self.log.add(str(path), message, "marks without an image")

    def _find(self, image: RawImage) -> Place | None:
        """Return the only image that an entry can mean, None if there is none or several."""
        path = PurePosixPath(image.image)
        for name in (path, path.with_suffix("") if path.suffix else path):
            for wanted in (name.as_posix(), name.name):
                places = self.by_name.get(wanted, [])
                exact = [place for place in places if place[1] == wanted] or places
                fitting = [place for place in exact if image.split in {None, place[0]}]
                if len(fitting) == 1:
                    return fitting[0]
        return None

    def _lay(self, image: RawImage, place: Place, root: Path, kind: View) -> None:
        sample = self.samples[place]
        if image.size and image.size != sample.size:
            sizes = (f"{width}x{height}" for height, width in (image.size, sample.size))
            message = "drawn on {} pixels, but the image is {}".format(*sizes)
            message = f"{message}; left out, draw on this image"
            self.log.add_line(image.subject, message, "marks of another size")
            return
        if self.instead and place not in self.replaced:
            sample = self.samples[place] = replace(sample, annotations=())
            self.replaced.add(place)
        fitter = Fitter(image, sample.size, self.before.classes, self.log, root)
        annotations = merged((*sample.annotations, *fitter.annotations(kind)))
        self.samples[place] = replace(sample, annotations=annotations)


def _check_numbers(content: RawFile, classes: Classes, file: Path) -> None:
    """Refuse masks whose numbers mean other classes than those of the data set."""
    is_numbered = any(mark.kind == "mask" for image in content.images for mark in image.marks)
    if is_numbered and content.names and classes_of(content.names, str(file)) != classes:
        rule, got = f"those of the data set ({', '.join(classes)})", ", ".join(content.names)
        raise InputError(f"classes of {file}", rule, got, "number its masks by that list")


def find_files(path: Path, formats: Mapping[str, Format]) -> tuple[list[Path], Format | None]:
    """Return the annotation files of a folder, or a file, and the first format that they fit.

    Raises:
        InputError: There is no such file or folder.
    """
    if not path.exists():
        subject = f"data.annotations {path}"
        raise InputError(subject, "a file or folder", "nothing", "check the path")
    for format in formats.values():
        if path.is_dir():
            files = list(format.files(path)) if format.files else []
        else:
            files = [path] if format.fits and format.fits(path) else []
        if files:
            return files, format
    return [], None
