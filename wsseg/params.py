"""Base class and field types of every parameter class."""

import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PositiveFloat,
    ValidationError,
)
from pydantic.fields import FieldInfo

from wsseg.errors import InputError


class Params(BaseModel):
    """Base of every parameter class: frozen, with keyword arguments only; unknown keys are errors.

    One class serves Python users, YAML files and the command line. Each field is documented by a
    string below it, which becomes the ``description`` of the field: ``wsseg config``, the options
    of commands and docs/settings.md print it.

    Raises:
        InputError: A value breaks a rule of the class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise input_error(error, type(self).__name__, type(self)) from error

    # Pydantic calls an __init__ that lacks this mark for nested models too, which would hide where
    # in the settings a value stands.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def input_error(error: ValidationError, source: str, params: type[Params]) -> InputError:
    """Return the first broken rule of a validation as an ``InputError``.

    Args:
        source: Name of the class or file, used in the message.
        params: Class that was validated; the nearest of its keys is suggested for an unknown one.
    """
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_beside(first["loc"], params)
        nearest = difflib.get_close_matches(str(first["loc"][-1]), known, 1, 0)
        hint = f"did you mean {nearest[0]!r}?" if nearest else "remove it"
        return InputError(f"{source} has an unknown key {key}", hint=hint)
    got = "nothing" if first["type"] == "missing" else reprlib.repr(first["input"])
    subject = f"{key} in {source}" if key else source
    return InputError(subject, _rule(first["msg"]), got, f"set {key}" if key else "correct it")


def _rule(message: str) -> str:
    """Return the rule in a message of pydantic, to follow the words "must be"."""
    return (
        message.removeprefix("Value error, ")
        .replace("Input is not a valid path for <class 'pathlib.Path'>", "a path")
        .replace("Input should be ", "")
        .replace("Field required", "set")
    )


def _keys_beside(location: tuple[int | str, ...], params: type[Params]) -> list[str]:
    """Return the keys beside the last one of a location in nested groups."""
    for part in location[:-1]:
        if part in params.model_fields:
            params = group_of(params.model_fields[str(part)]) or params
    return list(params.model_fields)


def group_of(field: FieldInfo) -> type[Params] | None:
    """Return the parameter class of a field that holds a group; None if it holds a value."""
    kinds = [field.annotation, *get_args(field.annotation)]
    groups = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Params)]
    return groups[0] if groups else None


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound first")
    return bounds


Range = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_in_order)]
"""Two positive numbers, the lower one first."""


def _on_disk(path: object) -> object:
    if "://" in str(path):
        raise ValueError("a path: copy or mount the store, as docs/scale.md shows")
    return path


LocalPath = Annotated[Path, BeforeValidator(_on_disk)]
"""A path on a file system, as it was given."""

AbsolutePath = Annotated[LocalPath, AfterValidator(Path.absolute)]
"""An absolute path on a file system."""
