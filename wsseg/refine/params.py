"""The rules that refiners' parameters share."""

import math
from numbers import Integral, Real

from wsseg.errors import InputError


def check_number(name: str, value: object, least: float = 0, most: float = math.inf) -> None:
    """Raise unless a parameter is a finite number in its range.

    Args:
        name: Its key in a configuration.
        value: What was given.
        least: The smallest that is allowed.
        most: The largest.

    Raises:
        InputError: It is not.

    Example:
        >>> check_number("crf.scale", 1.5, least=0.01, most=1)
        Traceback (most recent call last):
        wsseg.errors.InputError: crf.scale must be from 0.01 to 1, got 1.5; set crf.scale
    """
    rule = f"finite and at least {least}" if math.isinf(most) else f"from {least} to {most}"
    number = float(value) if isinstance(value, Real) else math.nan
    if not math.isfinite(number) or not least <= number <= most:
        raise InputError(name, rule, repr(value), f"set {name}")


def check_whole(name: str, value: object, least: int = 0) -> None:
    """Raise unless a parameter is a whole number of at least ``least``.

    Args:
        name: Its key in a configuration.
        value: What was given.
        least: The smallest that is allowed.

    Raises:
        InputError: It is not.
    """
    if not isinstance(value, Integral) or value < least:
        raise InputError(name, f"whole and at least {least}", repr(value), f"set {name}")
