"""Compilation of kernels by numba."""

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit

# Sums may be reordered, but NaN keeps its meaning.
_FASTMATH = {"contract", "nsz", "arcp", "reassoc"}
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": _FASTMATH}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function with numba at its first call, cached for later processes.

    The compiled function releases the interpreter lock, so that threads may call it together.
    """
    # numba's cache depends on a kernel's name and file only, but kernels call those of other files.
    function.__qualname__ += f"_{_digest(Path(function.__code__.co_filename).parent)}"
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba found no folder that it can write to
        message = "numba's cache cannot be written; every process compiles again, unless you set"
        warnings.warn(f"{message} NUMBA_CACHE_DIR to a folder", RuntimeWarning, stacklevel=1)
        return njit(**_OPTIONS)(function)


@cache
def _digest(folder: Path) -> str:
    """Return a hash of the source files of a folder."""
    files = sorted(folder.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
