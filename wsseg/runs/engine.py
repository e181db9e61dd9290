"""A function mapped over images in worker processes; a bad image never stops the others."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import cv2
from joblib import Parallel, cpu_count, delayed, parallel_config

from wsseg.data.model import Problem
from wsseg.errors import DamagedError, InputError
from wsseg.runs.cluster import map_on_cluster
from wsseg.runs.config import Config
from wsseg.runs.orphans import end_with
from wsseg.runs.progress import say

_SHOWN = 5  # problems printed at the start of a run

T = TypeVar("T")


class Identified(Protocol):
    """What a stage works on one by one, such as an image."""

    @property
    def id(self) -> str:
        """Its name in messages."""


Item = TypeVar("Item", bound=Identified)


@dataclass(frozen=True)
class SetAside:
    """An image that a stage could not use.

    Args:
        id: The image.
        reason: What is wrong, in one line.
    """

    id: str
    reason: str


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
) -> Iterator[T | SetAside]:
    """Yield the function's result for every sample, in no particular order.

    Args:
        function: Called once a sample, in a worker process of one thread; picklable.
        samples: The images.
        config: Its ``engine``, ``workers`` and ``strict`` say where, and what a bad image does.

    Yields:
        Results, and a ``SetAside`` for each image whose function raised ``InputError``.

    Raises:
        InputError: A bad image, when ``strict``; or workers are lost again and again, which is
            what happens when memory runs out.
    """
    if config.engine == "ray":
        work = partial(_attempt, function, strict=config.strict)
        yield from map_on_cluster(work, samples, config)
    else:
        yield from map_locally(function, samples, config.workers, config.strict)


def map_locally(
    function: Callable[[Item], T], samples: Sequence[Item], workers: int | None, strict: bool
) -> Iterator[T | SetAside]:
    """Yield the function's result for every sample, in no particular order, on this machine.

    Args:
        function: Called once a sample, in a worker process of one thread; picklable.
        samples: The images.
        workers: Processes; None is one a core, 1 works in this process.
        strict: Raise the first error of a bad image in place of yielding it.

    Yields:
        Results, and a ``SetAside`` for each image whose function raised ``InputError``.

    Raises:
        InputError: A bad image, when ``strict``; or a worker process was killed, which is what
            the system does when memory runs out.
    """
    workers = workers or cpu_count()
    if workers == 1:
        yield from (_attempt(function, sample, strict) for sample in samples)
        return
    tasks = (delayed(_in_worker)(os.getpid(), function, sample, strict) for sample in samples)
    # Never one worker: joblib would call the function in this process, with all its threads.
    processes = max(2, min(workers, len(samples)))
    try:
        with parallel_config("loky", inner_max_num_threads=1):
            yield from Parallel(processes, return_as="generator_unordered")(tasks)
    except BrokenProcessPool as error:
        got, remedy = "a worker that was killed", "set a lower one and run the same command again"
        raise InputError("workers", "few enough for the memory", got, remedy) from error


def _in_worker(owner: int, function: Callable[[Item], T], sample: Item, strict: bool) -> Any:
    end_with(owner)
    return _attempt(function, sample, strict)


def _attempt(function: Callable[[Item], T], sample: Item, strict: bool) -> Any:
    cv2.setNumThreads(1)
    try:
        return function(sample)
    except DamagedError:
        raise
    except InputError as error:
        if strict:
            raise
        return SetAside(sample.id, str(error))
