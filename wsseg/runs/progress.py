"""What a person sees while a run works."""

from collections.abc import Iterable, Iterator
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
"""Everything but results goes here, so that a command's output can be piped."""

T = TypeVar("T")


def track(items: Iterable[T], title: str, total: int, done: int = 0) -> Iterator[T]:
    """Yield items behind a progress bar; without a terminal, a line at the end.

    Args:
        items: What remains to be done.
        title: Shown before the bar.
        total: Number of all items, the finished ones included.
        done: Number of items finished before, such as by an interrupted attempt.

    Yields:
        The items, unchanged.
    """
    with progress_bar() as progress:
        task = progress.add_task(title, total=total, completed=done, note="")
        for item in items:
            progress.advance(task)
            yield item
    if not console.is_terminal:
        say(f"{title}: {total} done")


def progress_bar() -> Progress:
    """Return the progress bar that all stages share.

    Returns:
        A context manager of rich.
    """
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


def say(text: str) -> None:
    """Print one line for the person who runs this.

    Args:
        text: The line; markup is printed as it is, control characters are escaped.
    """
    console.print(printable(text), markup=False, soft_wrap=True)
