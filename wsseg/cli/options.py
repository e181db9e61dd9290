"""Command-line options that are derived from a parameter class."""

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from wsseg.errors import InputError
from wsseg.params import Params

_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}

P = TypeVar("P", bound=Params)


def options(
    params_class: type[Params], *arguments: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add one option per field of a parameter class to a command.

    Names, types, defaults, bounds and help texts come from the fields; the command receives an
    instance of the class as ``params``.

    Args:
        arguments: Fields that are positional arguments and precede those of the command.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**values: Any) -> None:
            own = {name: values.pop(name) for name in params_class.model_fields}
            command(**values, params=parse(params_class, own))

        fields = params_class.model_fields
        names = dict.fromkeys((*inspect.get_annotations(params_class), *fields))  # inherited last
        own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [
            *(_parameter(name, fields[name], is_argument=True) for name in arguments),
            *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.name != "params"),
            *(
                _parameter(name, fields[name], is_argument=False)
                for name in names
                if name not in arguments
            ),
        ]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        call.__dict__["__signature__"] = inspect.Signature(parameters)
        return call

    return decorate


def parse(params_class: type[P], values: dict[str, Any]) -> P:
    """Return parameters from the values of options, of which None means that none is given.

    Raises:
        InputError: A value breaks a rule; the message names the option.
    """
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return params_class(**given)
    except InputError as error:
        name, ours, _ = error.subject.partition(f" in {params_class.__name__}")
        if not ours:
            raise
        raise InputError(_flag(name), error.rule, error.got, "correct it") from error


def _parameter(name: str, field: FieldInfo, *, is_argument: bool) -> inspect.Parameter:
    bounds = ", ".join(
        f"{words} {getattr(constraint, attribute):g}"
        for constraint in field.metadata
        for attribute, words in _BOUNDS.items()
        if hasattr(constraint, attribute)
    )
    text = " ".join((field.description or "").split()) + (f" ({bounds})" if bounds else "")
    leaves = {*_leaves(field.annotation)}
    kind: Any = next((one for one in (bool, int, float, Path) if one in leaves), str)
    if any(
        get_origin(leaf) is tuple for leaf in leaves
    ):  # several arguments, or one text with commas
        kind = list[kind] if is_argument else str
    default = inspect.Parameter.empty if field.is_required() else field.get_default()
    if default in (None, ()):
        default = None
        kind = kind | None
    info = typer.Argument(help=text) if is_argument else typer.Option(_flag(name), help=text)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, info],
    )


def _leaves(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _leaves(inner)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
