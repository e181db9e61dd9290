"""Parameters of refiners, as settings."""

from pydantic import Field, PositiveInt

from wsseg.params import Params


class WalkSettings(Params):
    """The random walk of activation maps; names and defaults are those of ``WalkParams``."""

    radius: int = Field(5, ge=2)
    """A step reaches cells closer than this."""
    beta: float = Field(10, ge=0.001)
    """More follows edges more strictly."""
    t: int = Field(8, ge=0, le=20)
    """The walk takes 2 ^ t steps."""
    stride: int = Field(4, ge=1)
    """Side of a cell, pixels."""
    colour_sigma: float = Field(5, ge=0.001)
    """Difference of colours in Lab units that makes a step unlikely."""


class CRFSettings(Params):
    """Dense CRF; names and defaults are those of pydensecrf and of IRN."""

    backend: str = "native"
    """A key of ``BACKENDS``: "native" is compiled at its first use, "torch" runs on a GPU where
    there is one, "pydensecrf" is the reference.
    """
    gaussian_sxy: float = Field(3, ge=0.1)
    """Standard deviation of the smoothness kernel, pixels."""
    gaussian_compat: float = Field(3, ge=0, le=1000)
    """Weight of the smoothness kernel."""
    bilateral_sxy: float = Field(50, ge=0.1)
    """Standard deviation of the appearance kernel in space, pixels."""
    bilateral_srgb: float = Field(5, ge=0.1)
    """Standard deviation of the appearance kernel in colour, 0..255."""
    bilateral_compat: float = Field(10, ge=0, le=1000)
    """Weight of the appearance kernel."""
    iterations: int = Field(10, ge=0)
    """Mean-field iterations; 0 switches the CRF off."""
    scale: float = Field(1.0, ge=0.01, le=1)
    """The inference runs at this share of the image's sides; 0.5 is the fast mode."""


class PARSettings(Params):
    """Pixel-adaptive refinement; names and defaults are those of AFA, see ``PARParams``."""

    dilations: tuple[PositiveInt, ...] = Field((1, 2, 4, 8, 12, 24), min_length=1)
    """Distances of the neighbours, pixels."""
    iterations: int = Field(10, ge=0)
    """How often scores spread; 0 switches it off."""
    colour_temperature: float = Field(0.3, ge=0.001)
    """Smaller follows edges more strictly."""
    position_temperature: float = Field(0.3, ge=0.001)
    """Smaller prefers near neighbours."""
    position_weight: float = Field(0.01, ge=0)
    """Share of position beside colour's 1."""
    exponent: float = Field(2, ge=0.1, le=8)
    """Of both distances: 2 is a Gaussian, 1 an exponential."""
    counts_itself: bool = False
    """Whether the local deviation also covers the pixel itself."""
