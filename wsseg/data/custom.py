"""A kind of supervision that another package adds; see docs/plugins.md."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.plugins import find_plugin, load_plugin

ENTRY_POINTS = "wsseg.annotations"
"""The entry point group of kinds of marks; a name is the "type" of its marks in JSON Lines."""


class Marking(ABC):
    """Something that a person marked on an image.

    Subclasses are frozen dataclasses: a run is redone where what they print as has changed.

    Attributes:
        label: The class that it names, 0 to 254.
        seconds: How long it takes to draw, for the plot of accuracy against annotation time.
    """

    label: int
    seconds: ClassVar[float] = 0.0

    @abstractmethod
    def allowed(self, classes: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return what it allows each pixel to be.

        Args:
            classes: (C,) labels that can occur in the image, background first.
            size: (H, W) of the image.

        Returns:
            (C, H, W) bool; a pixel that it says nothing of allows every class.
        """

    def checked(self, classes: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return ``allowed``, refused where it is no answer.

        Args:
            classes: As of ``allowed``.
            size: As of ``allowed``.

        Returns:
            (C, H, W) bool.

        Raises:
            InputError: It is of another shape or type.
        """
        allowed = np.asarray(self.allowed(classes, size))
        if allowed.shape != (len(classes), *size) or allowed.dtype != bool:
            rule, got = f"{(len(classes), *size)} bool", f"{allowed.shape} {allowed.dtype}"
            raise InputError(f"allowed of {type(self).__name__}", rule, got, "correct the plug-in")
        return allowed


@lru_cache
def maker_of(kind: str) -> "MakeMarking | None":
    """Return what makes the markings of a kind.

    Args:
        kind: The "type" of a mark.

    Returns:
        A function of a plug-in; None where no installed package has one.

    Raises:
        InputError: The plug-in cannot be imported.
    """
    plugin = find_plugin(kind, ENTRY_POINTS)
    if plugin is None:
        return None
    make: MakeMarking = load_plugin(plugin)
    return make


MakeMarking = Callable[[int, Mapping[str, Any]], Marking]
"""(label, the mark as it stands in the file) -> marking; raises ``InputError`` for bad values."""
