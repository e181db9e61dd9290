"""Progress bars and messages in the terminal."""

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from wsseg.errors import printable

console = Console(stderr=True, highlight=False)
"""Everything but results goes to stderr, so that the output of a command can be piped."""

_SECONDS = 60  # between lines without a terminal

T = TypeVar("T")


def track(items: Iterable[T], title: str, total: int, done: int = 0) -> Iterator[T]:
    """Yield items and show a progress bar; without a terminal, a line now and then and at the end.

    Args:
        total: Number of all items, including the finished ones.
        done: Number of items that an interrupted attempt has finished.
    """
    start = shown = time.monotonic()
    with progress_bar() as progress:
        task = progress.add_task(title, total=total, completed=done, note="")
        for number, item in enumerate(items, 1):
            progress.advance(task)
            now = time.monotonic()
            if not console.is_terminal and now - shown >= _SECONDS:
                shown = now
                log(f"{title}: {_remaining(done + number, total, number, now - start)}")
            yield item
    if not console.is_terminal:
        log(f"{title}: {total} done")


def _remaining(finished: int, total: int, number: int, seconds: float) -> str:
    """Return the state of work of which a number of items took some seconds."""
    left = timedelta(seconds=round(seconds / number * (total - finished)))
    return f"{finished} of {total}, about {left} left"


def progress_bar() -> Progress:
    """Return the progress bar of all stages, a context manager."""
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


def log(text: str) -> None:
    """Print one line; markup is printed as it is, control characters are escaped."""
    console.print(printable(text), markup=False, soft_wrap=True)
