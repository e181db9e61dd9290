"""ImageSets of a Pascal VOC folder: the lists of its splits and what they say of each class."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from wsseg.data.formats.draft import Draft, is_background
from wsseg.data.formats.files import inside, read_text, shown
from wsseg.data.model import Classes, Tags
from wsseg.errors import InputError

_PRESENT, _ABSENT, _DIFFICULT = "1", "-1", "0"
_HEAD = 10_000  # bytes that tell the file of a class from the list of a split


def voc_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a Pascal VOC folder.

    Args:
        root: The data set's folder.

    Returns:
        Names of the files in ImageSets/Segmentation and ImageSets/Main, without "trainval" beside
        "train" and "val", and without the files of one class such as "cow_train".
    """
    names = _lists(root)
    return tuple(sorted(names - {"trainval"} if {"train", "val"} <= names else names))


def split_text(root: Path, split: str) -> str:
    """Return the list of a split's images.

    Args:
        root: The data set's folder.
        split: Its name.

    Returns:
        The text of ImageSets/Segmentation/<split>.txt, or else of ImageSets/Main/<split>.txt.

    Raises:
        InputError: There is no such file, or it is not UTF-8.
    """
    known = voc_splits(root)
    for name in ("Segmentation", "Main"):
        path = root / "ImageSets" / name / f"{split}.txt"
        if path.parent == root / "ImageSets" / name and path.is_file():
            return read_text(inside(path, root))
    rule = f"a text file in {root / 'ImageSets'}/Segmentation or /Main"
    remedy = f"known: {', '.join(known) or 'none'}; write one image name a line"
    raise InputError(f"split {split!r}", rule, "no such file", remedy)


def class_files(root: Path, names: Collection[str] = ()) -> dict[str, dict[str, Path]]:
    """Return the files that say which images of a split show a class.

    Args:
        root: The data set's folder.
        names: Class names, where they are known: "a_b_c" is then of the class "a_b" if there is
            one, otherwise of the longest split's name.

    Returns:
        ImageSets/Main/<class>_<split>.txt by split and class.
    """
    lists = _lists(root)
    found: dict[str, dict[str, Path]] = {split: {} for split in lists}
    for stem, path in _stems(root, "Main").items():
        ends = [end for end in sorted(lists, key=len, reverse=True) if stem.endswith(f"_{end}")]
        pairs = [(stem.removesuffix(f"_{end}"), end) for end in ends] if stem not in lists else []
        for name, split in sorted(pairs, key=lambda pair: pair[0] not in names)[:1]:
            found[split][name] = path
    return found


def class_file_names(root: Path) -> set[str]:
    """Return the classes that files of ImageSets/Main are named for.

    Args:
        root: The data set's folder.

    Returns:
        Their names, of all splits, without the background.
    """
    names = {name for files in class_files(root).values() for name in files}
    return {name for name in names if name and not is_background(name)}


def read_class_files(
    root: Path, split: str, ids: Sequence[str], classes: Classes, draft: Draft
) -> dict[str, Tags]:
    """Return the tags of a split's images.

    A class is unsure where its file says so (0, "difficult") or says nothing of the image. A split
    without files beside others that have some, such as one with masks only, has no tags.

    Args:
        root: The data set's folder.
        split: Its name.
        ids: Its images; lines of others are not read.
        classes: The class names.
        draft: Takes the problems.

    Returns:
        Tags of each image that at least one file lists.

    Raises:
        InputError: No split has the file of a known class, or one is not UTF-8.
    """
    found = class_files(root, classes.names)
    files = found.get(split, {})
    paths = {label: files[name] for label, name in enumerate(classes) if name in files and label}
    known = set(classes.names[1:])
    if not paths and not all(known.isdisjoint(others) for others in found.values()):
        message = f"{split}: no file of a known class; its images count as not tagged"
        draft.note("ImageSets/Main", message, "split without tags")
        return {}
    if not paths:
        rule = f"in files {root / 'ImageSets' / 'Main'}/<class>_{split}.txt"
        remedy = "add them, or set data.weak=boxes_as_tags"
        raise InputError(f"tags of split {split!r}", rule, "no such file of a known class", remedy)
    said, strays = _said(paths, root, set(ids), draft)
    tags = {
        id: _tags(id, said, len(classes)) for id in ids if any(id in of for of in said.values())
    }
    _note_files(split, files, paths, classes, draft)
    _note_images(split, [id for id in ids if id not in tags], strays, draft)
    for label, path in paths.items():
        if missing := [id for id in tags if id not in said[label]]:
            message = f"{_some(missing)} not listed; unsure there, write -1 where it is absent"
            draft.note(shown(path, root), message, "image that a class file does not list")
    return tags


def _lists(root: Path) -> set[str]:
    main, others = _stems(root, "Main"), _stems(root, "Segmentation").keys()
    names = main.keys() | others
    return {*others, *(stem for stem, path in main.items() if not _is_of_one_class(path, names))}


def _stems(root: Path, folder: str) -> dict[str, Path]:
    paths = sorted((root / "ImageSets" / folder).glob("*.txt"))
    return {path.stem: path for path in paths if path.is_file()}


def _is_of_one_class(path: Path, names: Collection[str]) -> bool:
    if not any(path.stem.endswith(f"_{name}") for name in names):
        return False
    with path.open("rb") as file:
        lines = file.read(_HEAD).splitlines()
    columns = [len(line.split()) for line in lines if line.strip()]
    return not columns or max(columns) > 1


def _said(
    paths: dict[int, Path], root: Path, ids: set[str], draft: Draft
) -> tuple[dict[int, dict[str, str]], set[str]]:
    """Return what each class file says of the split's images, and what others it lists."""
    said, strays = {}, set()
    for label, path in paths.items():
        said[label] = values = dict[str, str]()
        for subject, id, value in _lines(path, root, draft):
            if id not in ids:
                strays.add(id)
            elif values.setdefault(id, value) != value:
                message = f"{value} after {values[id]} for {id}; the first line counts"
                draft.note_line(subject, message, "class file contradicts itself")
    return said, strays


def _lines(path: Path, root: Path, draft: Draft) -> Iterator[tuple[str, str, str]]:
    name = shown(path, root)
    for row, line in enumerate(read_text(inside(path, root)).splitlines(), 1):
        id, _, value = " ".join(line.rsplit(maxsplit=1)).rpartition(" ")
        if id and value in (_PRESENT, _ABSENT, _DIFFICULT):
            yield f"{name}:{row}", id.strip(), value
        elif line.strip():
            message = f"{line!r:.80} is not '<image> 1', '<image> -1' or '<image> 0'; left out"
            draft.note_line(f"{name}:{row}", message, "malformed line of a class file")


def _tags(id: str, said: dict[int, dict[str, str]], n_classes: int) -> Tags:
    values = {label: said.get(label, {}).get(id, _DIFFICULT) for label in range(1, n_classes)}
    present = (label for label, value in values.items() if value == _PRESENT)
    unsure = (label for label, value in values.items() if value == _DIFFICULT)
    return Tags(tuple(present), tuple(unsure))


def _note_files(
    split: str,
    files: dict[str, Path],
    paths: dict[int, Path],
    classes: Classes,
    draft: Draft,
) -> None:
    subject = f"ImageSets/Main/*_{split}.txt"
    if missing := [name for label, name in enumerate(classes) if label and label not in paths]:
        message = f"no file of {_some(missing)}; unsure in every image, add it"
        draft.note(subject, message, "class without a class file")
    others = {name for name in files if not is_background(name)} - set(classes)
    if others:
        message = f"{_some(sorted(others))}: no known class; file not read"
        draft.note(subject, message, "class file of an unknown class")


def _note_images(split: str, bare: Sequence[str], strays: set[str], draft: Draft) -> None:
    subject = f"ImageSets/Main/*_{split}.txt"
    if bare:
        message = f"{_some(bare)} in no class file; not annotated, add it to use its tags"
        draft.note(subject, message, "image without tags")
    if strays:
        message = f"{_some(sorted(strays))} not in the list of the split; not read"
        draft.note(subject, message, "tagged image outside its split")


def _some(names: Sequence[str]) -> str:
    """Return the first names of many, such as "a, b, c and 4 more"."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(f'{name:.80}' for name in names[:3])}{more}"
