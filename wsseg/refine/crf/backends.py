"""The interface of the dense CRF's backends, and their names. All give the same results."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.refine.params import CRFParams

Inference = Callable[
    [Sequence[NDArray[np.uint8]], Sequence[NDArray[np.float32]], CRFParams],
    list[NDArray[np.float32]],
]
"""(images (H, W, 3) RGB, unary energies (C, H, W) of each with C of at least 2, parameters with at
least one iteration) -> probabilities (C, H, W) of each, which sum to 1 over C."""

NEVER = 1e4
"""Energy of a forbidden class: no weights outweigh it, and exp(-1e4) is 0."""


@dataclass(frozen=True)
class Backend:
    """A module with a function ``infer``, imported at the first use, and how to install it."""

    module: str
    remedy: str

    def load(self) -> Inference:
        """Return the function that computes the inference.

        Raises:
            ImportError: Its packages are not installed.
            OSError: The libraries of its packages cannot be loaded.
        """
        infer: Inference = import_module(self.module).infer
        return infer

    def is_installed(self) -> bool:
        """Return whether the backend can be loaded."""
        try:
            self.load()
        except (ImportError, OSError):
            return False
        return True


BACKENDS: dict[str, Backend] = {
    "native": Backend("wsseg.refine.crf.native", "pip install numba"),
    "torch": Backend("wsseg.refine.crf.batched", "pip install torch"),
    "pydensecrf": Backend("wsseg.refine.crf.pydensecrf", "pip install pydensecrf2"),
}
"""Backends by name: compiled by numba, on a GPU if there is one, and the reference."""


def choose_backend(name: str = "native") -> str:
    """Return the name of the backend to use: "torch" replaces "native" if numba cannot be loaded.

    Raises:
        InputError: The name is unknown, or the backend cannot be loaded.
    """
    if name not in BACKENDS:
        choices = ", ".join(BACKENDS)
        raise InputError("crf.backend", "a known backend", repr(name), f"choose from {choices}")
    try:
        BACKENDS[name].load()
    except (ImportError, OSError) as error:
        if name != "native":
            raise InputError(
                "crf.backend", "installed", repr(name), BACKENDS[name].remedy
            ) from error
        message = f"crf.backend: numba cannot be loaded ({error}); torch replaces it, more slowly"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return "torch"
    return name


def warm_up(name: str) -> None:
    """Compile what a backend compiles at its first use, so that worker processes need not."""
    prepare = getattr(import_module(BACKENDS[name].module), "warm_up", None)
    if prepare:
        prepare()


def out_of_reach(extent: float) -> InputError:
    """Return the error for an image that spans too many lattice points from end to end."""
    rule = "large enough that 64 bits number all lattice points of an image"
    got = f"deviations that need {extent:.0f} of them from end to end"
    return InputError("crf.bilateral_srgb and sxy", rule, got, "use larger ones")
