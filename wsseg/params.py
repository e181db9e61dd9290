"""Base class and field types of every parameter class."""

import reprlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PositiveFloat,
    ValidationError,
)

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
            raise input_error(error, type(self).__name__) from error

    # Pydantic calls an __init__ that lacks this mark for nested models too, which would hide where
    # in the settings a value stands.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def input_error(error: ValidationError, source: str) -> InputError:
    """Return the first broken rule of a validation as an ``InputError``.

    Args:
        source: Name of the class or file, used in the message.
    """
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return InputError(f"{source} has no parameter {key!r}", hint="remove it")
    got = "nothing" if first["type"] == "missing" else reprlib.repr(first["input"])
    return InputError(f"{key or source} in {source}", rule_of(first["msg"]), got, f"set {key}")


def rule_of(message: str) -> str:
    """Return the rule in a message of pydantic, to follow the words "must be"."""
    return (
        message.removeprefix("Value error, ")
        .replace("Input is not a valid path for <class 'pathlib.Path'>", "a path")
        .replace("Input should be ", "")
        .replace("Field required", "set")
    )


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
