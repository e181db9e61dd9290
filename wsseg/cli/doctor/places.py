"""Folders that a run writes to."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from wsseg.cli.doctor.found import Found, refused
from wsseg.errors import InputError
from wsseg.files import PARTIAL
from wsseg.runs.config import Config
from wsseg.runs.run import check_run_folder


def look(config: Config) -> Iterator[Found]:
    """Yield whether a run could write what it makes; a file is really written, and removed.

    Args:
        config: The resolved settings.

    Yields:
        The run's folder, and the temporary one.
    """
    yield _run_folder(config.run_dir)
    yield _temporary()


def nearest_folder(path: Path) -> Path:
    """Return the folder itself or the nearest above that there is.

    Args:
        path: A folder that may have to be made.

    Returns:
        Where its file system can be asked.
    """
    above = [path.absolute(), *path.absolute().parents]
    return next(folder for folder in above if folder.exists())


def _run_folder(path: Path) -> Found:
    try:
        check_run_folder(path)
        write_and_remove(nearest_folder(path))
    except InputError as error:
        return refused("run_dir", error)
    except OSError as error:
        found = f"{error.filename or path}: {error.strerror}"
        return Found("run_dir", "problem", found, "set run_dir to a folder of your own")
    new = "" if path.exists() else ", a new folder"
    return Found("run_dir", "ok", f"{path}{new}: can be written to, and nobody works in it")


def _temporary() -> Found:
    try:
        folder = Path(tempfile.gettempdir())
        write_and_remove(folder)
    except OSError as error:
        remedy = "set TMPDIR to a folder that can be written to"
        return Found("temporary folder", "problem", str(error), remedy)
    return Found("temporary folder", "ok", f"{folder}: can be written to")


def write_and_remove(folder: Path) -> None:
    """Write a file and remove it.

    Args:
        folder: Where.

    Raises:
        OSError: It cannot be written.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix=PARTIAL) as file:
        file.write(b"wsseg doctor\n")
        file.flush()
