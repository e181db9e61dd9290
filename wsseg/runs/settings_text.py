"""Print the settings of a run with their help texts: as YAML, and as the page docs/settings.md."""

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from wsseg.params import Params, group_of
from wsseg.runs.config import Config

_WIDTH = 100
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}

_INTRODUCTION = """\
# Settings

All settings of a run, made from the parameter classes in the source by `make settings`. Set them in
a YAML file or on the command line (`rounds.count=2`); Python functions take the same classes.
`wsseg config FILE` prints those of a file that differ from the defaults.
"""


def settings_yaml(config: Config, *, base: Config | None = None, every: bool = False) -> str:
    """Return settings as YAML, with help texts as comments.

    Args:
        base: Only settings that differ from this configuration are printed; None compares with the
            defaults.
        every: Print all settings.
    """
    reference = None if base is None else base.model_dump(mode="json")
    lines = _lines(Config, config.model_dump(mode="json"), reference, every, indent=0)
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Return the page docs/settings.md."""
    return "\n".join([_INTRODUCTION, *_sections(Config, "")]).rstrip() + "\n"


def _lines(
    params: type[Params], values: dict[str, Any], reference: Any, every: bool, indent: int
) -> Iterator[str]:
    margin, defaults = " " * indent, _defaults(params)
    for name, field in params.model_fields.items():
        value, group = values[name], group_of(field)
        other = defaults.get(name) if reference is None else reference.get(name)
        if group and isinstance(value, dict):
            below = other if reference is not None else None
            if inner := [*_lines(group, value, below, every, indent + 2)]:
                yield from [f"{margin}{name}:", *inner]
        elif every or value != other:
            help = " ".join(_help(params, name).split())
            yield from textwrap.wrap(
                help, _WIDTH, initial_indent=f"{margin}# ", subsequent_indent=f"{margin}# "
            )
            yield f"{margin}{name}: {_short(value)}"


def _sections(params: type[Params], prefix: str) -> Iterator[str]:
    """Yield a table of the settings of a class, then those of its groups."""
    title = " ".join((params.__doc__ or "").strip().partition("\n\n")[0].split())
    yield f"## {prefix.rstrip('.') or 'Run'}\n\n{title.replace('``', '`')}\n"
    values = {n: f for n, f in params.model_fields.items() if not group_of(f)}
    if values:
        yield "| setting | default | meaning |\n|---|---|---|"
        defaults = _defaults(params)
        for name, field in values.items():
            default = f"`{_short(defaults[name])}`" if name in defaults else "required"
            bounds = _bounds(field)
            help = " ".join(_help(params, name).replace("``", "`").split()).replace("|", "\\|")
            yield f"| `{prefix}{name}` | {default} | {help}{bounds} |"
        yield ""
    for name, field in params.model_fields.items():
        if group := group_of(field):
            yield from _sections(group, f"{prefix}{name}.")


def _short(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
        .removesuffix("...\n")
        .strip()
    )


def _defaults(params: type[Params]) -> dict[str, Any]:
    """Return the defaults of a class as YAML would hold them; required settings are left out."""
    return params.model_construct().model_dump(mode="json")


def _bounds(field: FieldInfo) -> str:
    bounds = [
        f"{words} {getattr(constraint, attribute):g}"
        for constraint in field.metadata
        for attribute, words in _BOUNDS.items()
        if hasattr(constraint, attribute)
    ]
    return f" ({', '.join(bounds)})" if bounds else ""


def _help(params: type[Params], name: str) -> str:
    """Return the help of a field, that of a parent class if a class repeats only the default."""
    for parent in params.__mro__:
        fields = parent.model_fields if issubclass(parent, Params) else {}
        if name in fields and fields[name].description:
            return fields[name].description or ""
    return ""
