"""Errors of commands as one line on stderr."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from wsseg.errors import DivergenceError, InputError
from wsseg.runs.progress import console


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print an error in one line and exit: 2 for bad input, 130 for an interrupt, else 1."""
    try:
        _check_file_names()
        yield
    except InputError as error:
        _stop(f"error: {error}", 2)
    except DivergenceError as error:
        _stop(f"training stopped: {error}", 1)
    except KeyboardInterrupt:
        _stop("interrupted; the same command continues from here", 130)
    except BrokenPipeError:  # The reader of the output has ended, as in `wsseg check x | head`.
        raise
    except OSError as error:
        _stop(f"error: {_refusal(error)}", 1)


def _check_file_names() -> None:
    # Annotation files name images in UTF-8, so file names must be UTF-8, too.
    if (encoding := sys.getfilesystemencoding()) != "utf-8":
        rule, remedy = "UTF-8, whatever the locale", "set PYTHONUTF8=1"
        raise InputError("the encoding of file names", rule, encoding, remedy)


def _stop(message: str, code: int) -> NoReturn:
    console.print(message, style="red", markup=False, soft_wrap=True)
    sys.exit(code)


def _refusal(error: OSError) -> str:
    """Return an error of the operating system, such as a full disk, with a remedy."""
    place = f"{error.filename}: " if error.filename else ""
    remedy = "free some space" if error.errno == errno.ENOSPC else "correct it"
    return f"{place}{error.strerror or error}; {remedy} and run the same command again"
