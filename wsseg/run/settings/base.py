"""What all groups of settings share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PositiveFloat


class Settings(BaseModel):
    """Base of every group of settings: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound first")
    return bounds


Range = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_in_order)]
"""Two positive numbers, the lower first."""
