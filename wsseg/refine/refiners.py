"""Refiners by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.foundation.params import SamParams
from wsseg.plugins import find_plugin, load_plugin, plugin_key, unknown_name
from wsseg.refine.crf.backends import choose_backend, warm_up
from wsseg.refine.crf.dense import dense_crf
from wsseg.refine.par import par
from wsseg.refine.params import CRFParams, PARParams
from wsseg.refine.scores import normalise

ENTRY_POINTS = "wsseg.refiners"
"""Entry point group of refiners from other packages."""


class Refine(Protocol):
    """A function that sharpens scores, such as ``dense_crf`` or ``par``."""

    def __call__(
        self,
        image: NDArray[np.uint8],
        scores: NDArray[np.floating],
        /,
        *,
        allowed: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Return probabilities (C, H, W) from an image, scores and allowed classes."""


@dataclass(frozen=True)
class Refiner:
    """A refiner with its parameters.

    Attributes:
        refine: Refines one image; can be sent to worker processes.
        key: Everything that its results depend on, except the weights of a foundation model.
        prepare: Does once what every worker process would otherwise do, such as compiling.
    """

    refine: Refine
    key: Any
    prepare: Callable[[], None] = lambda: None


def find_refiner(
    name: str,
    crf: CRFParams = CRFParams(),
    sam: SamParams = SamParams(),
    device: str = "auto",
    *,
    setting: str = "rounds.refiner or cam.refiner",
) -> Refiner:
    """Return the refiner of a name.

    Args:
        name: "crf", "par", "pamr", "sam", "none", or the name of a plug-in.
        device: Of "sam": "auto" is the GPU if there is one; or "cpu" or "cuda".
        setting: The configuration key or option that contains the name, used in errors.

    Raises:
        InputError: The name is unknown, or ``crf.backend`` is unknown or not installed.
    """
    if name == "sam":
        return _sam(sam, device)
    if name == "none":
        return Refiner(identity, "none")
    if name in ("par", "pamr"):
        params = PARParams.model_validate({"variant": name})
        return Refiner(partial(par, params=params), ["par", params])
    if name == "crf":
        crf = crf.model_copy(update={"backend": choose_backend(crf.backend)})
        return Refiner(partial(dense_crf, params=crf), ["crf", crf], partial(warm_up, crf.backend))
    plugin = find_plugin(name, ENTRY_POINTS)
    if plugin is None:
        choices = ("crf", "par", "pamr", "sam", "none")
        raise unknown_name(setting, name, choices, ENTRY_POINTS)
    refine: Refine = load_plugin(plugin)
    return Refiner(partial(_refine_by_plugin, refine=refine, name=name), plugin_key(plugin))


def _sam(params: SamParams, device: str) -> Refiner:
    from wsseg.refine.sam import sam_refine  # noqa: PLC0415 - imports torch

    return Refiner(partial(sam_refine, params=params, device=device), "sam")


def identity(
    _image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    /,
    *,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return scores (C, H, W) as probabilities, 0 where not allowed, without refinement."""
    return normalise(scores, allowed)


def _refine_by_plugin(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    /,
    *,
    allowed: NDArray[np.bool_] | None = None,
    refine: Refine,
    name: str,
) -> NDArray[np.float32]:
    refined = np.asarray(refine(image, scores, allowed=allowed))
    if refined.shape != scores.shape or not np.isfinite(refined).all():
        rule, got = f"finite and of shape {scores.shape}", f"shape {refined.shape}"
        raise InputError(f"result of refiner {name!r}", rule, got, "correct the plug-in")
    return refined.astype(np.float32)
