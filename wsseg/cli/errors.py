"""What stops a command, in one line."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from wsseg.errors import DivergenceError, InputError
from wsseg.runs.progress import console


@contextmanager
def plain_errors() -> Iterator[None]:
    """Say what stopped a command in one line; 2 is bad input, 130 an interrupt, 1 the rest."""
    try:
        _check_file_names()
        yield
    except InputError as error:
        _stop(f"error: {error}", 2)
    except DivergenceError as error:
        _stop(f"training stopped: {error}", 1)
    except KeyboardInterrupt:
        _stop("interrupted; the same command goes on from here", 130)
    except BrokenPipeError:  # whoever read the output has gone, as in `wsseg check x | head`
        raise
    except OSError as error:
        _stop(f"error: {_refusal(error)}", 1)


def _check_file_names() -> None:
    """Images are named by texts in UTF-8, so their files must be, too."""
    if (encoding := sys.getfilesystemencoding()) != "utf-8":
        rule, remedy = "UTF-8, whatever the locale", "set PYTHONUTF8=1"
        raise InputError("the encoding of file names", rule, encoding, remedy)


def _stop(message: str, code: int) -> NoReturn:
    console.print(message, style="red", markup=False, soft_wrap=True)
    sys.exit(code)


def _refusal(error: OSError) -> str:
    """What the operating system refused, such as writing to a full disk."""
    place = f"{error.filename}: " if error.filename else ""
    remedy = "free some space" if error.errno == errno.ENOSPC else "correct it"
    return f"{place}{error.strerror or error}; {remedy} and run the same command again"
