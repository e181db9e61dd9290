"""What was looked at, and what is to be done about it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from rich.table import Table
from rich.text import Text

from wsseg.errors import InputError

State = Literal["ok", "warning", "problem"]
_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@dataclass(frozen=True)
class Found:
    """One thing that was looked at.

    Args:
        subject: What it is, such as "run_dir".
        state: "problem" where a run would stop at it, "warning" where it might go wrong.
        found: How it is.
        remedy: What the user can do; empty where nothing needs to be done.
    """

    subject: str
    state: State
    found: str
    remedy: str = ""


def refused(subject: str, error: InputError) -> Found:
    """Return what an error says as something found.

    Args:
        subject: What was looked at.
        error: Why a run would stop.

    Returns:
        A problem.
    """
    found = f"{error.subject} must be {error.rule}, got {error.got}"
    return Found(subject, "problem", found, error.remedy)


def table_of(all_found: Iterable[Found]) -> Table:
    """Return what was found for a person.

    Args:
        all_found: In the order to be shown.

    Returns:
        What rich prints.
    """
    table = Table(title="wsseg doctor", title_justify="left")
    table.add_column("what", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("found; what to do", overflow="fold")
    for each in all_found:
        said = Text(each.found)
        said.append(f"\n{each.remedy}" if each.remedy else "", "italic")
        table.add_row(Text(each.subject), Text(each.state, _STYLES[each.state]), said)
    return table


def records_of(all_found: Iterable[Found]) -> Iterator[dict[str, str]]:
    """Yield what was found for a program.

    Args:
        all_found: In order.

    Yields:
        "subject", "state", "found" and "remedy" of each.
    """
    return (asdict(each) for each in all_found)
