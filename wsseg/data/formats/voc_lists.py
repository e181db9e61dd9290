"""ImageSets of a Pascal VOC folder: the lists of its splits and the tags of each class."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from wsseg.data.formats.files import beginning, read_text
from wsseg.data.formats.paths import inside, shown, some_of
from wsseg.data.formats.reading import ProblemLog, is_background
from wsseg.data.model import Classes
from wsseg.errors import InputError

_PRESENT, _ABSENT, _DIFFICULT = "1", "-1", "0"

NamedTags = tuple[tuple[str, ...], tuple[str, ...]]
"""Names of the classes that an image shows, and of those that it may show."""


class ImageSets:
    """The text files of ImageSets/Segmentation and ImageSets/Main, each read at most once.

    A file of Main such as ``cow_train.txt`` says which images of "train" show a cow, if there is a
    split "train" and its lines have two columns; any other file lists the images of a split.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.main, self.segmentation = _stems(root, "Main"), _stems(root, "Segmentation")
        stems = self.main.keys() | self.segmentation.keys()
        lists = (stem for stem, path in self.main.items() if not _is_of_one_class(path, stems))
        self.lists = {*self.segmentation, *lists}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the lists, without "trainval" beside "train" and "val"."""
        names = self.lists
        return tuple(sorted(names - {"trainval"} if {"train", "val"} <= names else names))

    def text(self, split: str) -> str:
        """Return the text of ImageSets/Segmentation/<split>.txt, or else of ImageSets/Main.

        Raises:
            InputError: There is no such file, or it is not UTF-8.
        """
        if path := self.segmentation.get(split) or self.main.get(split):
            return read_text(inside(path, self.root))
        rule = f"a text file in {self.root / 'ImageSets'}/Segmentation or /Main"
        remedy = f"known: {', '.join(self.splits) or 'none'}; write one image name a line"
        raise InputError(f"split {split!r}", rule, "no such file", remedy)

    def class_files(self, names: Collection[str] = ()) -> dict[str, dict[str, Path]]:
        """Return ImageSets/Main/<class>_<split>.txt by split and class.

        Args:
            names: Class names, if they are known: "a_b_c" then belongs to the class "a_b" if there
                is one, otherwise to the split with the longest name.
        """
        files: dict[str, dict[str, Path]] = {split: {} for split in self.lists}
        longest_first = sorted(self.lists, key=len, reverse=True)
        for stem, path in self.main.items():
            if stem in self.lists:
                continue
            ends = [end for end in longest_first if stem.endswith(f"_{end}")]
            pairs = [(stem.removesuffix(f"_{end}"), end) for end in ends]
            for name, split in sorted(pairs, key=lambda pair: pair[0] not in names)[:1]:
                files[split][name] = path
        return files

    def class_names(self) -> set[str]:
        """Return the classes that files of ImageSets/Main are named for."""
        names = {name for files in self.class_files().values() for name in files}
        return {name for name in names if name and not is_background(name)}

    def tagged_splits(self, classes: Classes) -> tuple[str, ...]:
        """Return the splits that have image tags.

        These have a file ImageSets/Main/<class>_<split>.txt for at least one object class.

        Args:
            classes: The classes of the data set; files of other classes do not count.
        """
        files = self.class_files(classes.names)
        return tuple(split for split in self.splits if files[split].keys() & classes.labels.keys())

    def tags(
        self, split: str, ids: Sequence[str], classes: Classes, log: ProblemLog
    ) -> dict[str, NamedTags]:
        """Return the tags of each image of a split that at least one file of a class lists.

        A class is unsure if its file says so (0, "difficult") or does not list the image.

        Raises:
            InputError: A file leads out of the data set or is not UTF-8.
        """
        files = self.class_files(classes.names).get(split, {})
        paths = {name: files[name] for name in classes.names[1:] if name in files}
        if not paths:
            message = f"{split}: no file of a known class; its images count as not tagged"
            log.add("ImageSets/Main", message, "split without tags")
            return {}
        wanted, strays, values = {*ids}, set[str](), dict[str, dict[str, str]]()
        for name, path in paths.items():
            values[name] = _read_class_file(path, self.root, wanted, strays, log)
        listed = set[str]().union(*values.values())
        tags: dict[str, NamedTags] = {}
        for id in (id for id in ids if id in listed):
            said = {name: values.get(name, {}).get(id, _DIFFICULT) for name in classes.labels}
            present, unsure = (
                tuple(name for name, value in said.items() if value == wanted_value)
                for wanted_value in (_PRESENT, _DIFFICULT)
            )
            tags[id] = present, unsure
        subject = f"ImageSets/Main/*_{split}.txt"
        if missing_files := [name for name in classes.labels if name not in paths]:
            message = f"no file of {some_of(missing_files)}; unsure in every image, add it"
            log.add(subject, message, "class without a class file")
        if others := {name for name in files if not is_background(name)} - {*classes}:
            message = f"{some_of(sorted(others))}: no known class; file not read"
            log.add(subject, message, "class file of an unknown class")
        if untagged := [id for id in ids if id not in tags]:
            message = f"{some_of(untagged)} in no class file; not annotated, add it to use its tags"
            log.add(subject, message, "image without tags")
        if strays:
            message = f"{some_of(sorted(strays))} not in the list of the split; not read"
            log.add(subject, message, "tagged image outside its split")
        for name, path in paths.items():
            if missing := [id for id in tags if id not in values[name]]:
                message = f"{some_of(missing)} not listed; unsure there, write -1 if it is absent"
                log.add(shown(path, self.root), message, "image that a class file does not list")
        return tags


def _stems(root: Path, folder: str) -> dict[str, Path]:
    paths = sorted((root / "ImageSets" / folder).glob("*.txt"))
    return {path.stem: path for path in paths if path.is_file()}


def _is_of_one_class(path: Path, names: Collection[str]) -> bool:
    if not any(path.stem.endswith(f"_{name}") for name in names):
        return False
    lines = beginning(path).splitlines()
    columns = [len(line.split()) for line in lines if line.strip()]
    return not columns or max(columns) > 1


def _read_class_file(
    path: Path, root: Path, wanted: Collection[str], strays: set[str], log: ProblemLog
) -> dict[str, str]:
    """Return what the file of a class says of each wanted image; other ids go to ``strays``."""
    values: dict[str, str] = {}
    for subject, id, value in _lines(path, root, log):
        if id not in wanted:
            strays.add(id)
        elif values.setdefault(id, value) != value:
            message = f"{value} after {values[id]} for {id}; the first line counts"
            log.add_line(subject, message, "class file contradicts itself")
    return values


def _lines(path: Path, root: Path, log: ProblemLog) -> Iterator[tuple[str, str, str]]:
    name = shown(path, root)
    for row, line in enumerate(read_text(inside(path, root)).splitlines(), 1):
        id, _, value = " ".join(line.rsplit(maxsplit=1)).rpartition(" ")
        if id and value in (_PRESENT, _ABSENT, _DIFFICULT):
            yield f"{name}:{row}", id.strip(), value
        elif line.strip():
            message = f"{line!r:.80} is not '<image> 1', '<image> -1' or '<image> 0'; left out"
            log.add_line(f"{name}:{row}", message, "malformed line of a class file")
