"""A function mapped over images in worker processes; a bad image never stops the others."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
from joblib import Parallel, delayed, parallel_config

from wsseg.annotations.model import Problem, Sample
from wsseg.errors import InputError
from wsseg.run.progress import say

_SHOWN = 5  # problems printed at the start of a run

T = TypeVar("T")


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
        say(f"{'left out' if problem.fatal else 'note'}: {problem.subject}: {problem.message}")
    if len(problems) > _SHOWN:
        say(f"and {len(problems) - _SHOWN} more; `wsseg check --all` lists them")


def map_samples(
    function: Callable[[Sample], T], samples: Sequence[Sample], workers: int | None, strict: bool
) -> Iterator[T | SetAside]:
    """Yield the function's result for every sample, in no particular order.

    Args:
        function: Called once a sample, in a worker process of one thread; picklable.
        samples: The images.
        workers: Processes; None is one a core, 1 works in this process.
        strict: Raise the first error of a bad image in place of yielding it.

    Yields:
        Results, and a ``SetAside`` for each image whose function raised ``InputError``.

    Raises:
        InputError: A bad image, when ``strict``.
    """
    workers = min(workers or os.cpu_count() or 1, max(len(samples), 1))
    if workers == 1:
        yield from (_attempt(function, sample, strict) for sample in samples)
        return
    with parallel_config("loky", inner_max_num_threads=1):
        tasks = (delayed(_attempt)(function, sample, strict) for sample in samples)
        yield from Parallel(workers, return_as="generator_unordered")(tasks)


def _attempt(function: Callable[[Sample], T], sample: Sample, strict: bool) -> Any:
    cv2.setNumThreads(1)
    try:
        return function(sample)
    except InputError as error:
        if strict:
            raise
        return SetAside(sample.id, str(error))
