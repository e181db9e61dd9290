"""Checks of the machine: processors, compiler, folders and disk space.

torch and numba are imported inside the functions, so that a broken installation is a result.
"""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wsseg.cli.doctor.check import REINSTALL, Check, failed
from wsseg.errors import InputError
from wsseg.files import PARTIAL

_SHARED_MEMORY = Path("/dev/shm")
_GIB = 1024**3
MIN_SHARED = _GIB / 4
"""Bytes of shared memory; Docker's default of 64 MiB is too little for worker processes."""

MIN_FREE = 2e9
"""Free bytes below which a run gets a warning; the runs of the examples take 17 to 53 MB."""


def check_devices() -> Iterator[Check]:
    """Yield the CPU, each GPU, ray and shared memory."""
    import torch
    from joblib import cpu_count

    yield Check("CPU", "ok", f"{cpu_count()} cores; torch uses {torch.get_num_threads()} threads")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not n_gpus:
        yield Check("GPU", "ok", "none available to torch; networks run on the CPU")
    for number in range(n_gpus):
        free, total = torch.cuda.mem_get_info(number)
        memory = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
        yield Check(f"GPU {number}", "ok", f"{torch.cuda.get_device_name(number)}, {memory}")
    with suppress(PackageNotFoundError):  # ray is an extra
        yield Check("ray", "ok", version("ray"))
    if _SHARED_MEMORY.is_dir():
        total = shutil.disk_usage(_SHARED_MEMORY).total
        message = f"{_SHARED_MEMORY}: {total / _GIB:.2f} GiB"
        if total >= MIN_SHARED:
            yield Check("shared memory", "ok", message)
        else:
            remedy = "start the container with --shm-size=1g, or set machine.loader_workers=0"
            yield Check("shared memory", "warning", message, remedy)


def check_compiler() -> Iterator[Check]:
    """Yield whether numba can compile the CRF and cache the result for other processes."""
    from wsseg.refine.crf.backends import BACKENDS

    reinstall = "pip install --force-reinstall numba llvmlite"
    try:
        with warnings.catch_warnings(action="ignore"):
            native = import_module(BACKENDS["native"].module)
    except (ImportError, OSError) as error:
        message = f"numba cannot be imported, which seeds and trainings need: {error}"
        yield Check("numba", "problem", message, reinstall)
        return
    try:
        import_module("numba").njit(_increment)(1)
    except Exception as error:  # LLVM and numba raise many kinds
        yield Check("numba", "problem", f"numba cannot compile: {error!r}", reinstall)
        return
    yield _check_cache(native.cache_folder())


def _increment(number: int) -> int:
    return number + 1


def _check_cache(folder: Path | None) -> Check:
    reason = "numba has no cache folder"
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _try_to_write(folder)
        except OSError as error:
            reason = f"numba cannot write to its cache {folder} ({error.strerror})"
        else:
            return Check("numba", "ok", f"numba compiles and caches the result in {folder}")
    remedy = "set NUMBA_CACHE_DIR to a folder that can be written to"
    return Check("numba", "warning", f"{reason}; every process compiles the CRF again", remedy)


def check_folders(run_dir: Path) -> Iterator[Check]:
    """Yield whether a run can write to its folder and to the temporary folder, and free space."""
    yield _check_run_folder(run_dir)
    try:
        temporary = Path(tempfile.gettempdir())
        _try_to_write(temporary)
        yield Check("temporary folder", "ok", f"{temporary} can be written to")
    except OSError as error:
        remedy = "set TMPDIR to a folder that can be written to"
        yield Check("temporary folder", "problem", str(error), remedy)
    yield check_disk(run_dir)


def _check_run_folder(path: Path) -> Check:
    try:
        from wsseg.runs.run import check_run_folder

        check_run_folder(path)
        _try_to_write(_existing_folder(path))
    except InputError as error:
        return failed("run_dir", error)
    except ImportError as error:
        return Check("run_dir", "problem", str(error), REINSTALL)
    except OSError as error:
        message = f"{error.filename or path}: {error.strerror}"
        return Check("run_dir", "problem", message, "set run_dir to a folder of your own")
    is_new = "" if path.exists() else " (a new folder)"
    return Check("run_dir", "ok", f"{path}{is_new} can be written to and is not in use")


def check_disk(run_dir: Path) -> Check:
    """Return whether the disk of a run has at least ``MIN_FREE`` bytes left."""
    free = shutil.disk_usage(_existing_folder(run_dir)).free
    message = f"{free / 1e9:.1f} GB free"
    if free >= MIN_FREE:
        return Check("disk", "ok", message)
    return Check("disk", "warning", message, "free some space, or set run_dir to another disk")


def _existing_folder(path: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _try_to_write(folder: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=PARTIAL) as file:
        file.write(b"wsseg doctor\n")
        file.flush()
