"""Whether numba can compile the CRF, and keep what it compiled for the next process."""

import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from wsseg.cli.doctor.found import Found
from wsseg.cli.doctor.places import write_and_remove
from wsseg.refine.crf.backends import BACKENDS

_SLOWER = "torch takes its place in the CRF, slower"
_ANEW = "so that every process compiles the CRF anew"


def look() -> Iterator[Found]:
    """Yield what numba can do here.

    Yields:
        One line.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # told below
            native = import_module(BACKENDS["native"].module)
    except (ImportError, OSError) as error:
        remedy = "pip install --force-reinstall numba llvmlite"
        yield Found("numba", "warning", f"{error}; {_SLOWER}", remedy)
        return
    yield _compiled() or _kept(native.cache_folder())


def _compiled() -> Found | None:
    numba = import_module("numba")
    try:
        numba.njit(_next)(1)
    except Exception as error:  # LLVM and numba raise many kinds
        remedy = "set crf.backend=torch, or pip install --force-reinstall numba llvmlite"
        return Found("numba", "problem", f"cannot compile: {error!r}", remedy)
    return None


def _kept(folder: Path | None) -> Found:
    remedy = "set NUMBA_CACHE_DIR to a folder that can be written to"
    if folder is None:
        return Found("numba", "warning", f"finds no folder for its cache, {_ANEW}", remedy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_and_remove(folder)
    except OSError as error:
        found = f"its cache {folder} cannot be written to ({error.strerror}), {_ANEW}"
        return Found("numba", "warning", found, remedy)
    return Found("numba", "ok", f"compiles, and keeps the result in {folder}")


def _next(number: int) -> int:
    return number + 1
