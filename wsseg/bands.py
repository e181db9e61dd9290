"""Choice of the bands of an image, and scaling of their values to 8 bits."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from wsseg.errors import InputError
from wsseg.params import Params

_LIMITS = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # of floats, 8, 10, ... and 16 bits
_TAIL = 0.001
_MIN_USE = 1 / 8
_PERCENTILES = (0.01, 0.99)
_SAMPLED = 1000  # rows and columns at most
_STRIP = 256  # rows


class ImageParams(Params):
    """How the values of an image file become 8-bit RGB."""

    range: Literal["auto", "percentile"] | tuple[float, float] = "auto"
    """Values of images of more than 8 bits that become 0 and 255; images of 8 bits stay as they
    are. "auto" takes 0 to the smallest limit of 1 (floats), 8, 10, 12, 14 or 16 bits that holds
    99.9 % of the values of the image, and the image's own range if that uses less than an eighth
    of it or there is none; "percentile" takes 1 to 99 % of each band of each image, so that
    brightness no longer differs among images; [0, 4095] is the same range in all images.
    """
    bands: tuple[int, ...] | None = None
    """Numbers, from 0, of the three bands that are used as red, green and blue, such as [3, 2, 1];
    one band is used as all three. Null takes the colours of an image and drops its alpha channel;
    images of two, or of four and more bands need it.
    """

    @field_validator("range", mode="before")
    @classmethod
    def _is_known(cls, range: Any) -> Any:
        if range in ("auto", "percentile"):
            return range
        try:
            low, high = map(float, range.split(",") if isinstance(range, str) else range)
        except (TypeError, ValueError) as error:
            raise ValueError("auto, percentile or two numbers") from error
        # Infinite bounds and NaN have no finite difference.
        if not 0 < high - low < math.inf:
            raise ValueError("two finite numbers, the lower one first")
        return low, high

    @field_validator("bands", mode="before")
    @classmethod
    def _split(cls, bands: Any) -> Any:
        return bands.split(",") if isinstance(bands, str) else bands

    @field_validator("bands")
    @classmethod
    def _are_one_or_three(cls, bands: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if bands is not None and (len(bands) not in (1, 3) or min(bands) < 0):
            raise ValueError("one or three numbers from 0")
        return bands


@dataclass(frozen=True)
class Scaling:
    """How the values of an image were scaled to 8 bits.

    Attributes:
        ranges: (low, high) of each band: the values that became 0 and 255.
        extent: The lowest and the highest finite value, (0, 0) if there is none.
        source: Describes the ranges, such as "0..4095".
    """

    ranges: tuple[tuple[float, float], ...]
    extent: tuple[float, float]
    source: str


def choose_bands(
    values: NDArray[Any], colours: int, bands: tuple[int, ...] | None, subject: str
) -> NDArray[Any]:
    """Return the bands that become red, green and blue.

    Args:
        values: (H, W, B).
        colours: Number of bands that are no alpha channel: the first ones.
        bands: ``ImageParams.bands``.
        subject: Names the image in errors.

    Returns:
        (H, W, 3), or (H, W, 1) if all three are the same band.

    Raises:
        InputError: A band does not exist, or it is unclear which ones are the colours.
    """
    count = values.shape[2]
    if bands is not None and max(bands) >= count:
        message = f"{subject} has {_counted(count)}, but data.bands asks for band {max(bands)}"
        raise InputError(message, hint=f"name bands from 0 to {count - 1}")
    if bands is None and colours not in (1, 3):
        choice = "choose three with data.bands=[0,1,2]"
        hint = "choose one with data.bands=[0]" if colours == 2 else choice
        raise InputError(f"{subject} has {_counted(colours)}", hint=hint)
    return values[..., list(bands) if bands is not None else slice(colours)]


def scale(
    values: NDArray[Any], range: Literal["auto", "percentile"] | tuple[float, float]
) -> tuple[NDArray[np.uint8], Scaling]:
    """Return values scaled to 8 bits; what lies beyond the range becomes 0 or 255, NaN 0.

    Args:
        values: (H, W, B) integers or floats.
        range: ``ImageParams.range``. Quantiles are those of at most a million evenly spaced pixels.

    Returns:
        (H, W, B) uint8, and the ranges used.
    """
    step = [max(1, -(-side // _SAMPLED)) for side in values.shape[:2]]
    sampled = values[:: step[0], :: step[1]].astype(np.float64)
    bands = [band[np.isfinite(band)] for band in np.moveaxis(sampled, 2, 0)]
    finite = np.concatenate(bands)
    extent = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if range == "percentile":
        ranges = [_percentiles(band, values.dtype) for band in bands]
        source = "1 to 99 % of each band"
    else:
        low, high = _auto_range(finite, values.dtype) if range == "auto" else range
        ranges = [(low, high)] * len(bands)
        is_own = range == "auto" and not (low == 0 and high in _LIMITS)
        source = "the image's own range" if is_own else f"{low:g}..{high:g}"
    return _scaled(values, np.array(ranges)), Scaling(tuple(ranges), extent, source)


def _auto_range(values: NDArray[np.float64], dtype: np.dtype[Any]) -> tuple[float, float]:
    limits = _LIMITS if dtype.kind == "f" else _LIMITS[1:]
    if not values.size:
        return 0.0, limits[0]
    low, high = (float(q) for q in np.quantile(values, (_TAIL, 1 - _TAIL)))
    limit = next((limit for limit in limits if high <= limit), None)
    if low >= 0 and limit and (high >= limit * _MIN_USE or high == 0):
        return 0.0, limit
    low = min(low, 0.0)
    return low, high if high > low else low + 1


def _percentiles(values: NDArray[np.float64], dtype: np.dtype[Any]) -> tuple[float, float]:
    low, high = np.quantile(values, _PERCENTILES) if values.size else (0, 0)
    return (float(low), float(high)) if high > low else _auto_range(values, dtype)


def _scaled(values: NDArray[Any], ranges: NDArray[np.float64]) -> NDArray[np.uint8]:
    low, span = ranges[:, 0], ranges[:, 1] - ranges[:, 0]
    result = np.empty(values.shape, np.uint8)
    # Strips of rows: as floats a large image would take gigabytes.
    for first in np.arange(0, len(values), _STRIP):
        rows = slice(first, first + _STRIP)
        shares = (values[rows].astype(np.float64) - low) / span
        result[rows] = (np.nan_to_num(shares, posinf=1, neginf=0).clip(0, 1) * 255).round()
    return result


def _counted(bands: int) -> str:
    return f"{bands} band" if bands == 1 else f"{bands} bands"
