"""Pages that work offline from disk, and how they write figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsseg.files import write_text
from wsseg.report.charts import plotly_script

NOTHING = "\N{EN DASH}"
"""Shown where a figure does not apply."""


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> None:
    """Write a page from a template of this package, atomically.

    Args:
        path: The HTML file.
        template: Name of the template.
        content: Its values; text in them is escaped.
    """
    environment = Environment(
        loader=PackageLoader("wsseg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(script=plotly_script(), **content)
    write_text(path, page)


def percent(share: float | None) -> str:
    """Return a share in words of a table.

    Args:
        share: 0..1, None where it does not apply.

    Returns:
        Percent with one decimal.

    Example:
        >>> percent(0.512)
        '51.2'
    """
    return NOTHING if share is None else f"{100 * share:.1f}"


def duration(seconds: float | None) -> str:
    """Return a duration as a person says it.

    Args:
        seconds: None where it does not apply.

    Returns:
        Hours and minutes, minutes and seconds, or seconds.

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
