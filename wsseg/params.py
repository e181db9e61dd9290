"""Base class and field types of every parameter class."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PositiveFloat


class Params(BaseModel):
    """Base of every parameter class: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound first")
    return bounds


Range = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_in_order)]
"""Two positive numbers, the lower first."""


def _on_disk(path: object) -> object:
    if "://" in str(path):
        raise ValueError("a path: copy or mount the store, as docs/scale.md shows")
    return path


LocalPath = Annotated[Path, BeforeValidator(_on_disk)]
"""A path as it was given, of a file system."""

AbsolutePath = Annotated[LocalPath, AfterValidator(Path.absolute)]
"""A path of a file system, from its root."""
