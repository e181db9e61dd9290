"""Map a function over the images of a run, on this machine or on a cluster."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from wsseg.data.model import Problem
from wsseg.errors import InputError
from wsseg.parallel import Batches, Item, Skipped, attempt, map_in_threads, map_locally
from wsseg.runs.cluster import map_on_cluster
from wsseg.runs.config import Config
from wsseg.runs.progress import log

MAX_SHOWN = 5
"""Problems of a data set, or skipped images, that are printed."""

T = TypeVar("T")


def report_problems(problems: Sequence[Problem], strict: bool) -> None:
    """Print what is wrong with a data set; unusable images are skipped.

    Raises:
        InputError: Something is unusable and ``strict`` is set.
    """
    fatal = [problem for problem in problems if problem.fatal]
    if fatal and strict:
        text = f"{fatal[0]} ({len(fatal)} such problems)"
        raise InputError(text, hint="correct it or set strict=false")
    for problem in sorted(problems, key=lambda problem: not problem.fatal)[:MAX_SHOWN]:
        log(f"{'skipped' if problem.fatal else 'note'}: {problem}")
    if len(problems) > MAX_SHOWN:
        log(f"and {len(problems) - MAX_SHOWN} more; `wsseg check --all` lists them")


def map_samples(
    function: Callable[[Item], T],
    samples: Sequence[Item],
    config: Config,
    batches: Batches[Item] | None = None,
) -> Iterator[T | Skipped]:
    """Yield the result of a function for every sample, in no particular order.

    Args:
        function: Picklable; called once per sample, in a worker process with one thread.
        batches: On this machine, call the function in threads that share a model instead.

    Yields:
        Results, and a ``Skipped`` for each image whose function raised ``InputError``.

    Raises:
        InputError: An image is unusable and the run is strict; or workers are lost repeatedly,
            which happens when memory runs out.
    """
    if config.machine.engine == "ray":
        work = partial(attempt, function, strict=config.strict)
        yield from map_on_cluster(work, samples, config)
    elif batches:
        machine = config.machine
        yield from map_in_threads(function, samples, batches, machine.workers, config.strict)
    else:
        yield from map_locally(function, samples, config.machine.workers, config.strict)
