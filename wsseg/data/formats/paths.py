"""Paths of a data set: its files by name, as annotation files write them, and nothing outside."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import takewhile
from pathlib import Path, PurePosixPath

from wsseg.errors import InputError
from wsseg.image_kinds import Unread, is_junk, unread_files, unread_kind
from wsseg.images import SUFFIXES

_MASK_FOLDERS = frozenset(
    ("segmentationclass", "segmentationobject", "segmentationclassaug", "masks", "labels")
)
_UPLOADED = re.compile(r"[^-\w.]")
_DRIVE = re.compile(r"^[A-Za-z]:/|^file:/+|^/+")
_follow_links: ContextVar[bool] = ContextVar("follow_links", default=False)


def folders_in(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted, without junk."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_junk(path.name))


def files_by_id(folder: Path, suffixes: Iterable[str]) -> dict[str, list[Path]]:
    """Return the files below a folder, none if it is missing, by their path in it without suffix.

    Args:
        suffixes: Such as ".png", in lower case; files in upper case are found too.

    Returns:
        Ids and their files, sorted; several where names differ only in their suffix.
    """
    wanted, found = tuple(suffixes), dict[str, list[Path]]()
    for parent, names in _walk(folder):
        below = parent.relative_to(folder)
        for name in names:
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 (Path is 5 times slower)
            if suffix.lower() in wanted:
                found.setdefault((below / stem).as_posix(), []).append(parent / name)
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder below a folder with the sorted names of its files, without junk."""
    walk = os.walk(folder, onerror=_refuse_unreadable, followlinks=_follow_links.get())
    for parent, folders, names in walk:
        folders[:] = sorted(name for name in folders if not is_junk(name))
        yield Path(parent), sorted(name for name in names if not is_junk(name))


def _refuse_unreadable(error: OSError) -> None:
    if isinstance(error, PermissionError):
        got, remedy = error.strerror, "allow to read it, or remove it"
        raise InputError(error.filename, "a readable folder", got, remedy) from error


def unread_images(folder: Path) -> tuple[Unread, ...]:
    """Return the images below a folder that are not read, by kind, such as HEIC."""
    paths = (parent / name for parent, names in _walk(folder) for name in names)
    return unread_files(path for path in paths if unread_kind(path))


def matching_files(
    folder: Path, patterns: Iterable[str], fits: Callable[[Path], bool]
) -> Iterator[Path]:
    """Yield the files of a folder that match a pattern and are of a format, sorted.

    Args:
        patterns: Such as "annotations/*.json"; files in upper case are found too.
        fits: Called as late as possible.
    """
    parts = (pattern.rpartition(".") for pattern in patterns)
    both = [f"{stem}.{end}" for stem, _, suffix in parts for end in (suffix, suffix.upper())]
    for path in sorted({path for pattern in both for path in folder.glob(pattern)}):
        is_hidden = any(is_junk(part) for part in path.relative_to(folder).parts)
        if not is_hidden and path.is_file() and fits(path):
            yield path


@contextmanager
def following_links(follow: bool = True) -> Iterator[None]:
    """Let symbolic links lead out of the data set within the block; also a decorator."""
    token = _follow_links.set(follow)
    try:
        yield
    finally:
        _follow_links.reset(token)


def inside(path: Path, root: Path) -> Path:
    """Return a path unchanged if it lies in the data set, symbolic links followed.

    Raises:
        InputError: The path leads out of the data set, and links are not followed.
    """
    return guard(root)(path)


def guard(root: Path) -> Callable[[Path], Path]:
    """Return ``inside`` for many files of a data set: it resolves each of their folders once."""
    real_root, folders = os.path.realpath(root), set[Path]()
    follow = _follow_links.get()

    def inside_root(path: Path) -> Path:
        folder = path.parent
        if follow or (folder in folders and not os.path.islink(path)):  # noqa: PTH114 (Path is slower)
            return path
        target = os.path.realpath(path)
        if not Path(target).is_relative_to(real_root):
            rule, remedy = f"inside the data set {root}", "move it there, or set data.links=true"
            raise InputError(path, rule, target, remedy)
        if Path(os.path.realpath(folder)).is_relative_to(real_root):
            folders.add(folder)
        return path

    return inside_root


def safe_name(name: str) -> PurePosixPath:
    r"""Return a file name from an annotation, refused if it could lead out of a folder.

    Backslashes separate folders, as Windows writes them.

    Raises:
        InputError: The name is empty, absolute, or holds ".." or control characters.

    Example:
        >>> safe_name("images\\im0.jpg").as_posix()
        'images/im0.jpg'
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or ".." in path.parts or path.is_absolute():
        rule, remedy = "a relative name without '..'", "write it relative to the images' folder"
        raise InputError("file name", rule, repr(name), remedy)
    if not name.isprintable():
        raise InputError("file name", "printable", repr(name), "rename the file and export again")
    return path


def tail_of(name: str) -> PurePosixPath:
    r"""Return the part of a written path that can be compared with files on this machine.

    Example:
        >>> tail_of("C:\\users\\ann\\train\\im0.jpg").as_posix()
        'users/ann/train/im0.jpg'
        >>> tail_of("../train/im0.jpg").as_posix()
        'train/im0.jpg'
    """
    path = PurePosixPath(_DRIVE.sub("", name.strip().replace("\\", "/")))
    return safe_name("/".join(part for part in path.parts if part != "..") or name)


class ImageIndex:
    """The image files below the root of a data set, found by the names that files write.

    The folder is listed only if an image does not lie where its name says. Files in folders of
    masks, such as SegmentationClass, are no images.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.inside = root, guard(root)
        self._by_stem: dict[str, list[Path]] | None = None
        self._unread: tuple[Unread, ...] | None = None

    def find(self, name: str, folders: Sequence[Path]) -> tuple[str, Path]:
        """Return the id and the file of an image.

        The file is that of the name in the first folder that has it, or of an absolute path in the
        data set. Otherwise it is the only image of the data set that has the last parts of the
        name, with or without its suffix: paths of other machines, of Windows, and names without
        suffix are found so.

        Raises:
            InputError: No image or several have the name, or it leads out of the data set.
        """
        written = tail_of(name)
        for folder in folders:
            if is_file(path := folder / written):
                return written.with_suffix("").as_posix(), self.inside(path)
        absolute, root = Path(name), self.root.absolute()
        if absolute.is_relative_to(root) and is_file(absolute):
            path = self.root / absolute.relative_to(root)
        else:
            path = self._by_last_parts(name, written, folders)
        return id_below(path, (self.root, *folders)), self.inside(path)

    def find_any(self, names: Sequence[str], folders: Sequence[Path]) -> tuple[str, Path]:
        """Return the id and the file of an image that may have several names; the first counts.

        Raises:
            InputError: As ``find`` for the first name, and there is no image of the others.
        """
        try:
            return self.find(names[0], folders)
        except InputError:
            for name in names[1:]:
                with suppress(InputError):
                    return self.find(name, folders)
            raise

    def _by_last_parts(self, name: str, written: PurePosixPath, folders: Sequence[Path]) -> Path:
        if self._by_stem is None:
            self._by_stem = defaultdict(list)
            for id, paths in files_by_id(self.root, SUFFIXES).items():
                is_mask = any(part.lower() in _MASK_FOLDERS for part in id.split("/")[:-1])
                for path in () if is_mask else paths:
                    uploaded = f"/{as_uploaded(path.name)}"  # "/" is in no other key
                    for stem in {path.name.lower(), path.stem.lower(), uploaded.lower()}:
                        self._by_stem[stem].append(path)
        found: list[Path] = []
        keys = (written.name.lower(), written.stem.lower(), f"/{as_uploaded(written.name)}".lower())
        for stem in dict.fromkeys(keys):
            found = found or best_matches(written, self._by_stem.get(stem, ()))
        is_elsewhere = found and written.parts[1:] and not n_common_folders(written, found[0])
        if is_elsewhere and not _DRIVE.match(name.replace("\\", "/")):
            # Of a relative name, a/1.png, another image b/1.png has nothing but the last part.
            found = [path for path in found if path.parent in folders]
        for folder in folders if len(found) > 1 else ():
            expected = [path for path in found if path.parent == folder / written.parent]
            found = expected if len(expected) == 1 else found
        if len(found) == 1:
            return found[0]
        if found:
            got = " and ".join(shown(path, self.root) for path in found[:3])
            raise InputError(
                f"Image {name!r:.200} may be {got}", hint="write its folder and suffix"
            )
        if self._unread is None:
            self._unread = unread_images(self.root)
        for unread in self._unread:
            if same := [p for p in unread.paths if p.stem.lower() == written.stem.lower()]:
                message = f"{shown(same[0], self.root)} is {unread.kind}, which is not read"
                raise InputError(message, hint=unread.remedy)
        places = ", ".join(shown(folder, self.root) for folder in folders)
        remedy = "add the file or remove its entry"
        rule, got = "a file of the data set", f"none in {places}"
        raise InputError(f"image {name!r:.200}", rule, got, remedy)


def as_uploaded(name: str) -> str:
    """Return a file name as Django, and so Label Studio, stores an uploaded file of this name.

    Example:
        >>> as_uploaded("my cow (1).jpg")
        'my_cow_1.jpg'
    """
    return _UPLOADED.sub("", name.strip().replace(" ", "_"))


def best_matches(written: PurePosixPath, paths: Iterable[Path]) -> list[Path]:
    """Return the paths that share the most folders, counted from the last, with a written path."""
    scored = [(n_common_folders(written, path), path) for path in paths]
    most = max((score for score, _ in scored), default=0)
    return sorted(path for score, path in scored if score == most)


def n_common_folders(written: PurePosixPath, path: Path) -> int:
    """Return how many folders of two paths are equal, counted from the last."""
    pairs = zip(written.parts[-2::-1], path.parts[-2::-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def is_file(path: Path) -> bool:
    """Return whether a file exists, also for names that are too long or hold NUL."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for such names


def id_below(path: Path, folders: Iterable[Path]) -> str:
    """Return the id of an image: its path in the innermost of the folders that hold it."""
    around = (folder for folder in folders if path.is_relative_to(folder))
    closest = max(around, key=lambda folder: len(folder.parts))
    return path.relative_to(closest).with_suffix("").as_posix()


def shown(path: Path, root: Path) -> str:
    """Return a path below the root of a data set as it is named to a person."""
    return path.as_posix().removeprefix(f"{root.as_posix()}/")


def some_of(names: Sequence[str]) -> str:
    """Return the first names of many, such as "a, b, c and 4 more"."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(f'{name:.80}' for name in names[:3])}{more}"
