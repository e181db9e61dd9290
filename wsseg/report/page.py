"""Pages that work offline from disk, and the format of their figures."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsseg.files import write_text
from wsseg.labelmaps import palette
from wsseg.metrics.bootstrap import Interval

NOTHING = "\N{EN DASH}"
"""Shown if a figure does not apply."""


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> None:
    """Write a page from a template of this package, atomically; text in it is escaped."""
    write_text(path, _environment().get_template(template).render(**content))


def percent(share: float | None) -> str:
    """Return a share, 0..1, as percent with one decimal.

    Example:
        >>> percent(0.512)
        '51.2'
    """
    return NOTHING if share is None else f"{100 * share:.1f}"


def duration(seconds: float | None) -> str:
    """Return a duration in hours and minutes, minutes and seconds, or seconds.

    Example:
        >>> duration(3725), duration(75.2), duration(8.25)
        ('1 h 02 min', '1 min 15 s', '8.2 s')
    """
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(int(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def change(difference: Interval | None, *, is_short: bool = False) -> str:
    """Return a difference of shares in points, with its interval unless it may be noise.

    Args:
        difference: -1..1, with its interval.
        is_short: If True, the interval is left out.

    Example:
        >>> change(Interval(0.02, 0.01, 0.03)), change(Interval(0.002, -0.01, 0.012))
        ('+2.0 (+1.0 to +3.0)', '+0.2, noise')
    """
    if difference is None:
        return NOTHING
    value, low, high = (f"{round(100 * end, 1) + 0:+.1f}" for end in difference)
    if difference.is_noise:
        return f"{value} noise" if is_short else f"{value}, noise"
    return value if is_short else f"{value} ({low} to {high})"


def stage_title(name: str) -> str:
    """Return what the label maps of a stage are called on a page.

    Example:
        >>> stage_title("round-1"), stage_title("round-1/val")
        ('labels of round-1', 'validation of round-1')
    """
    stage, _, is_val = name.partition("/")
    return f"{'validation' if is_val else 'labels'} of {stage}"


def css_colour(label: int) -> str:
    """Return the colour that labels of a class are shown in.

    Example:
        >>> css_colour(1)
        '#800000'
    """
    return f"#{palette()[label].tobytes().hex()}"


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings as keys, with dots between levels, and values."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "null" if value is None else str(value)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("wsseg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (change, css_colour, percent, stage_title):
        environment.filters[function.__name__] = function
    return environment
