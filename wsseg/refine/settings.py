"""Parameters of refiners, as settings."""

from pydantic import Field, PositiveInt

from wsseg.params import Params


class WalkSettings(Params):
    """The random walk of activation maps; names and defaults are those of ``WalkParams``.

    Attributes:
        radius: A step reaches cells closer than this.
        beta: More follows edges more strictly.
        t: The walk takes 2 ^ t steps.
        stride: Side of a cell, pixels.
        colour_sigma: Difference of colours in Lab units that makes a step unlikely.
    """

    radius: int = Field(5, ge=2)
    beta: float = Field(10, ge=0.001)
    t: int = Field(8, ge=0, le=20)
    stride: int = Field(4, ge=1)
    colour_sigma: float = Field(5, ge=0.001)


class CRFSettings(Params):
    """Dense CRF; names and defaults are those of pydensecrf and of IRN.

    Attributes:
        backend: A key of ``BACKENDS``: "native" is compiled at its first use, "torch" runs on a GPU
            where there is one, "pydensecrf" is the reference.
        gaussian_sxy: Standard deviation of the smoothness kernel, pixels.
        gaussian_compat: Weight of the smoothness kernel.
        bilateral_sxy: Standard deviation of the appearance kernel in space, pixels.
        bilateral_srgb: Standard deviation of the appearance kernel in colour, 0..255.
        bilateral_compat: Weight of the appearance kernel.
        iterations: Mean-field iterations; 0 switches the CRF off.
        scale: The inference runs at this share of the image's sides; 0.5 is the fast mode.
    """

    backend: str = "native"
    gaussian_sxy: float = Field(3, ge=0.1)
    gaussian_compat: float = Field(3, ge=0, le=1000)
    bilateral_sxy: float = Field(50, ge=0.1)
    bilateral_srgb: float = Field(5, ge=0.1)
    bilateral_compat: float = Field(10, ge=0, le=1000)
    iterations: int = Field(10, ge=0)
    scale: float = Field(1.0, ge=0.01, le=1)


class PARSettings(Params):
    """Pixel-adaptive refinement; names and defaults are those of AFA, see ``PARParams``.

    Attributes:
        dilations: Distances of the neighbours, pixels.
        iterations: How often scores spread; 0 switches it off.
        colour_temperature: Smaller follows edges more strictly.
        position_temperature: Smaller prefers near neighbours.
        position_weight: Share of position beside colour's 1.
        exponent: Of both distances: 2 is a Gaussian, 1 an exponential.
        counts_itself: Whether the local deviation also covers the pixel itself.
    """

    dilations: tuple[PositiveInt, ...] = Field((1, 2, 4, 8, 12, 24), min_length=1)
    iterations: int = Field(10, ge=0)
    colour_temperature: float = Field(0.3, ge=0.001)
    position_temperature: float = Field(0.3, ge=0.001)
    position_weight: float = Field(0.01, ge=0)
    exponent: float = Field(2, ge=0.1, le=8)
    counts_itself: bool = False
