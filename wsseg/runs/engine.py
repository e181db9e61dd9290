"""Map a function over the images of a run, on this machine or on a cluster."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from wsseg.data.model import Problem
from wsseg.errors import InputError
from wsseg.parallel import Item, Skipped, attempt, map_locally
from wsseg.runs.cluster import map_on_cluster
from wsseg.runs.config import Config
from wsseg.runs.progress import say

_SHOWN = 5  # problems printed at the start of a run

T = TypeVar("T")


def announce(problems: Sequence[Problem], strict: bool) -> None:
    """Tell what is wrong with a data set before it is used; images at fault are left out.

    Args:
        problems: What its reader found.
        strict: Refuse the data set where anything cannot be used.

    Raises:
        InputError: Something cannot be used, when ``strict``.
    """
    fatal = [problem for problem in problems if problem.fatal]
    if fatal and strict:
        got = f"{fatal[0].message} ({len(fatal)} such)"
        raise InputError(fatal[0].subject, "usable", got, "correct it or set strict=false")
    for problem in sorted(problems, key=lambda problem: not problem.fatal)[:_SHOWN]:
        say(f"{'left out' if problem.fatal else 'note'}: {problem}")
    if len(problems) > _SHOWN:
        say(f"and {len(problems) - _SHOWN} more; `wsseg check --all` lists them")


def map_samples(
    function: Callable[[Item], T], samples: Sequence[Item], config: Config
) -> Iterator[T | Skipped]:
    """Yield the function's result for every sample, in no particular order.

    Args:
        function: Called once a sample, in a worker process of one thread; picklable.
        samples: The images.
        config: Its ``machine`` and ``strict`` say where, and what a bad image does.

    Yields:
        Results, and a ``Skipped`` for each image whose function raised ``InputError``.

    Raises:
        InputError: A bad image, when ``strict``; or workers are lost again and again, which is
            what happens when memory runs out.
    """
    if config.machine.engine == "ray":
        work = partial(attempt, function, strict=config.strict)
        yield from map_on_cluster(work, samples, config)
    else:
        yield from map_locally(function, samples, config.machine.workers, config.strict)
