"""What computes: CPU, GPUs, and the memory that processes share."""

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from joblib import cpu_count

from wsseg.cli.doctor.found import Found

_SHARED = Path("/dev/shm")
_GIB = 1024**3
_LEAST_SHARED = _GIB / 4  # what a container gets by default is a quarter of that


def look() -> Iterator[Found]:
    """Yield what there is to compute with.

    Yields:
        CPU, each GPU, ray and shared memory.
    """
    found = f"{cpu_count()} cores; torch's threads: {torch.get_num_threads()}"
    yield Found("CPU", "ok", found)
    yield from _gpus()
    yield from _ray()
    yield from _shared_memory()


def _gpus() -> Iterator[Found]:
    if not torch.cuda.is_available():
        yield Found("GPU", "ok", "none that torch can use; networks run on the CPU")
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(number)
        memory = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
        yield Found(f"GPU {number}", "ok", f"{torch.cuda.get_device_name(number)}, {memory}")


def _ray() -> Iterator[Found]:
    try:
        yield Found("ray", "ok", version("ray"))
    except PackageNotFoundError:
        return


def _shared_memory() -> Iterator[Found]:
    """What worker processes hand arrays over in, on Linux."""
    if _SHARED.is_dir():
        total = shutil.disk_usage(_SHARED).total
        found = f"{_SHARED}: {total / _GIB:.2f} GiB"
        remedy = "start the container with --shm-size=1g, or set machine.loader_workers=0"
        enough = total >= _LEAST_SHARED
        yield (
            Found("shared memory", "ok", found)
            if enough
            else Found("shared memory", "warning", found, remedy)
        )
