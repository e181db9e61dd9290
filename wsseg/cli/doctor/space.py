"""How much disk a run will take, and whether there is as much."""

import shutil
from collections.abc import Iterator, Mapping

from wsseg.cli.doctor.found import Found
from wsseg.cli.doctor.need import need_of
from wsseg.cli.doctor.places import nearest_folder
from wsseg.cli.doctor.settings import CHECKS
from wsseg.data.model import Dataset
from wsseg.errors import InputError
from wsseg.runs.config import Config

_UNITS = ("B", "kB", "MB", "GB", "TB")


def look(config: Config, dataset: Dataset | InputError) -> Iterator[Found]:
    """Yield whether the disk has room for a run.

    Args:
        config: The resolved settings.
        dataset: Of ``data.index``, or why there is none.

    Yields:
        One line, with the estimate.
    """
    free = shutil.disk_usage(nearest_folder(config.run_dir)).free
    if isinstance(dataset, InputError):
        yield Found("disk", "ok", f"{told(free)} free; what a run needs is not known without data")
    elif config.pipeline not in CHECKS:
        found = f"{told(free)} free; what a pipeline of your own writes is not known"
        yield Found("disk", "ok", found)
    else:
        yield _compared(config, dataset, free)


def shortage(config: Config, dataset: Dataset) -> str:
    """Return what to tell where the disk has no room for a run.

    Args:
        config: The resolved settings, of a shipped pipeline.
        dataset: Its images.

    Returns:
        A line; empty where there is room.
    """
    free = shutil.disk_usage(nearest_folder(config.run_dir)).free
    found = _compared(config, dataset, free)
    return "" if found.state == "ok" else f"disk: {found.found}; {found.remedy}"


def told(size: float) -> str:
    """Return a number of bytes for a person.

    Args:
        size: Bytes.

    Returns:
        Such as "1.5 GB".

    Example:
        >>> told(1_500_000_000), told(12)
        ('1.5 GB', '12 B')
    """
    power = min(len(_UNITS) - 1, (len(str(int(size))) - 1) // 3)
    return f"{size / 1000**power:.{1 if power else 0}f} {_UNITS[power]}"


def _compared(config: Config, dataset: Dataset, free: int) -> Found:
    parts = need_of(config, dataset)
    need = sum(parts.values())
    found = f"{told(free)} free; this run takes about {told(need)}: {_listed(parts)}"
    if need <= free:
        return Found("disk", "ok", found)
    return Found("disk", "problem", found, "free some space, or set run_dir to another disk")


def _listed(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {told(size)}" for name, size in parts.items() if size)
