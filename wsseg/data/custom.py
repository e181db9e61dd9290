"""Annotations of other packages; see docs/plugins.md."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.plugins import find_plugin, load_plugin

ENTRY_POINTS = "wsseg.annotations"
"""Entry point group of annotation types; a name is the "type" of a mark in JSON Lines."""


class CustomAnnotation(ABC):
    """Base class of annotations that other packages add.

    Subclasses are frozen dataclasses. A run recognises unchanged annotations by their ``repr``:
    the results made from them are computed again if it changes.

    Attributes:
        label: The class that the annotation names, 0 to 254.
        seconds: The time it takes to draw, for figures of accuracy against annotation time.
    """

    label: int
    seconds: ClassVar[float] = 0.0

    @abstractmethod
    def allowed(self, classes: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the classes that this annotation allows for each pixel.

        Args:
            classes: (C,) uint8 labels that can occur in the image, background first.
            size: (H, W) of the image.

        Returns:
            (C, H, W) bool; True for every class at pixels that the annotation does not concern.
        """

    def checked_allowed(
        self, classes: NDArray[np.uint8], size: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Call ``allowed``, and return its result if that has the right shape and dtype.

        Args:
            classes: (C,) uint8 labels that can occur in the image, background first.
            size: (H, W) of the image.

        Returns:
            (C, H, W) bool.

        Raises:
            InputError: ``allowed`` returned another shape or dtype.
        """
        allowed = np.asarray(self.allowed(classes, size))
        if allowed.shape != (len(classes), *size) or allowed.dtype != bool:
            rule, got = f"{(len(classes), *size)} bool", f"{allowed.shape} {allowed.dtype}"
            raise InputError(f"allowed of {type(self).__name__}", rule, got, "correct the plug-in")
        return allowed


MakeAnnotation = Callable[[int, Mapping[str, Any]], CustomAnnotation]
"""(label, the mark as it stands in the file) -> annotation; raises InputError for bad values."""


@lru_cache
def find_annotation(kind: str) -> MakeAnnotation | None:
    """Return the plug-in that makes annotations of a type, None if no installed package has one.

    Args:
        kind: The "type" of a mark.

    Raises:
        InputError: The plug-in cannot be imported.
    """
    plugin = find_plugin(kind, ENTRY_POINTS)
    if plugin is None:
        return None
    make: MakeAnnotation = load_plugin(plugin)
    return make
