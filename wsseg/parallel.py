"""Map a function over images in processes or threads; an unusable image stops no other."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

import cv2
from joblib import Parallel, cpu_count, delayed, parallel_config

from wsseg.errors import DamagedError, InputError, MachineError

_POLL_SECONDS = 0.05

T = TypeVar("T")


class Identified(Protocol):
    """An item with an id, such as an image."""

    @property
    def id(self) -> str:
        """The id used in messages."""


Item = TypeVar("Item", bound=Identified)


@dataclass(frozen=True)
class Skipped:
    """An image that could not be processed: its id, and the error in one line."""

    id: str
    reason: str


def keep_results(results: Iterable[T | Skipped], skipped: dict[str, str]) -> Iterator[T]:
    """Yield the results that are not ``Skipped``, and record the reasons of the others by id."""
    for result in results:
        if isinstance(result, Skipped):
            skipped[result.id] = result.reason
        else:
            yield result


def map_locally(
    function: Callable[[Item], T], samples: Sequence[Item], workers: int | None, strict: bool
) -> Iterator[T | Skipped]:
    """Yield the result of a function for every sample, in no particular order.

    Args:
        function: Picklable; called once per sample, in a worker process with one thread.
        workers: Number of processes; None means one per core, 1 works in the calling process.
        strict: Raise the first error of an image instead of yielding ``Skipped``.

    Yields:
        The results, and a ``Skipped`` for each image whose function raised ``InputError``.

    Raises:
        InputError: An image is unusable and ``strict`` is set, or a worker process was killed,
            which is what the operating system does when memory runs out.
    """
    workers = workers or cpu_count()
    if workers == 1:
        yield from (attempt(function, sample, strict) for sample in samples)
        return
    tasks = (delayed(_in_worker)(os.getpid(), function, sample, strict) for sample in samples)
    # joblib would run a single worker in the calling process, with all its threads.
    processes = max(2, min(workers, len(samples)))
    try:
        with parallel_config("loky", inner_max_num_threads=1):
            yield from Parallel(processes, return_as="generator_unordered")(tasks)
    except BrokenProcessPool as error:
        got, remedy = "a worker that was killed", "set a lower one and run the same command again"
        raise InputError("workers", "few enough for the memory", got, remedy) from error


@dataclass(frozen=True)
class Batches(Generic[Item]):
    """A model on a GPU that prepares samples in batches, for a function that runs in threads.

    Attributes:
        prepare: Called with the samples of each batch before the function is called with them;
            leaves the errors of samples to the function.
        size: Number of samples of a batch.
    """

    prepare: Callable[[Sequence[Item]], None]
    size: int


def map_in_threads(
    function: Callable[[Item], T],
    samples: Sequence[Item],
    batches: Batches[Item],
    workers: int | None,
    strict: bool,
) -> Iterator[T | Skipped]:
    """Yield the result of a function for every sample, in order.

    All threads share the models of this process, instead of a copy in each worker process. The
    next batch is prepared while threads process the last one. If the work fails, results that are
    ready are yielded before the error.

    Args:
        function: Called once per sample, in a thread.
        workers: Number of threads; None means one per core.
        strict: Raise the first error of an image instead of yielding ``Skipped``.

    Raises:
        InputError: An image is unusable and ``strict`` is set.
    """
    with ThreadPoolExecutor(workers or cpu_count()) as pool:
        pending: deque[Future[T | Skipped]] = deque()
        try:
            for start in range(0, len(samples), batches.size):
                batch = samples[start : start + batches.size]
                batches.prepare(batch)
                pending += [pool.submit(attempt, function, sample, strict) for sample in batch]
                while len(pending) > batches.size:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except Exception:
            # Work that is done is not lost: the caller records it before it sees the error.
            yield from (f.result() for f in pending if not f.cancel() and f.exception() is None)
            raise


def attempt(function: Callable[[Item], T], sample: Item, strict: bool) -> T | Skipped:
    """Return the result of a function for a sample, or ``Skipped`` if the sample is unusable.

    Raises:
        InputError: The sample is unusable and ``strict`` is set.
        DamagedError, MachineError: No sample is to blame.
    """
    cv2.setNumThreads(1)
    try:
        return function(sample)
    except (DamagedError, MachineError):
        raise
    except InputError as error:
        if strict:
            raise
        return Skipped(sample.id, str(error))


def _in_worker(owner: int, function: Callable[[Item], T], sample: Item, strict: bool) -> Any:
    end_with(owner)
    return attempt(function, sample, strict)


@cache
def end_with(owner: int) -> None:
    """End this worker process soon after the process that started it has ended.

    A run that is killed cannot stop its workers. Left alone, they would go on with the images that
    were handed to them and write label maps into the folder of the next attempt. Ctrl-C, which a
    terminal sends to every process, is answered by the owner alone.

    Args:
        owner: Process id of the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(owner,), daemon=True).start()


def _watch(owner: int) -> None:
    while os.getppid() == owner:
        time.sleep(_POLL_SECONDS)
    os._exit(1)
