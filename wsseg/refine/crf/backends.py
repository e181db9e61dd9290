"""The ways to compute the dense CRF, by name: one model, the same results."""

import warnings
from dataclasses import dataclass
from importlib import import_module

from wsseg.errors import InputError
from wsseg.refine.crf.model import Inference


@dataclass(frozen=True)
class Backend:
    """One way to compute the inference.

    Attributes:
        module: Has a function ``infer``; imported at the first use.
        remedy: What to do where it cannot be imported.
    """

    module: str
    remedy: str

    def load(self) -> Inference:
        """Return what computes the inference.

        Raises:
            ImportError: Its packages are not installed.
            OSError: Nor can their libraries be loaded.
        """
        infer: Inference = import_module(self.module).infer
        return infer

    def is_installed(self) -> bool:
        """Return whether it can be used here."""
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
"""Backends by name: compiled by numba, on a GPU where there is one, and the reference."""


def chosen_backend(name: str = "native") -> str:
    """Return the name of the backend that computes a CRF.

    Where numba cannot be loaded, "torch" takes the place of "native", and a warning says so.

    Args:
        name: A key of ``BACKENDS``.

    Returns:
        A key of ``BACKENDS``.

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
        slower = f"crf.backend: numba cannot be loaded ({error}); torch takes its place, slower"
        warnings.warn(slower, RuntimeWarning, stacklevel=2)
        return "torch"
    return name


def warm_up(name: str) -> None:
    """Compile what a backend compiles at its first use, so that worker processes need not.

    Args:
        name: A key of ``BACKENDS`` that is installed.
    """
    prepare = getattr(import_module(BACKENDS[name].module), "warm_up", None)
    if prepare:
        prepare()
