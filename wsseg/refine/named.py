"""Refiners by name, as a run's configuration chooses them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.plugins import find_plugin, load_plugin, plugin_key, unknown_name
from wsseg.refine.crf.backends import chosen_backend, warm_up
from wsseg.refine.crf.dense import dense_crf
from wsseg.refine.crf.model import CRFParams
from wsseg.refine.par import PARParams, par
from wsseg.refine.scores import normalised
from wsseg.refine.settings import CRFSettings
from wsseg.runs.config import Config

ENTRY_POINTS = "wsseg.refiners"
"""The entry point group of refiners from other packages."""


class Refine(Protocol):
    """What makes scores sharper: ``dense_crf``, ``par`` or the like."""

    def __call__(
        self,
        image: NDArray[np.uint8],
        scores: NDArray[np.floating],
        *,
        allowed: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Return probabilities (C, H, W) from an image, scores and what each pixel may take."""


@dataclass(frozen=True)
class Refiner:
    """What a configuration asks for.

    Attributes:
        refine: Refines one image; can go to worker processes.
        key: All that its results depend on.
        prepare: Does in advance what every worker process would otherwise do.
    """

    refine: Refine
    key: Any
    prepare: Callable[[], None]


def find_refiner(config: Config, name: str) -> Refiner:
    """Return a refiner with the parameters of a configuration.

    Args:
        config: The resolved settings, of which ``crf`` and ``par`` count.
        name: "crf", "par", "none", or a plug-in's.

    Returns:
        The refiner.

    Raises:
        InputError: The name is unknown, or ``crf.backend`` is unknown or not installed.
    """
    if name == "none":
        return Refiner(unrefined, "none", lambda: None)
    if name == "par":
        params = PARParams(**config.par.model_dump())
        return Refiner(partial(par, params=params), ["par", config.par], lambda: None)
    if name != "crf":
        return _plugged(name)
    backend = chosen_backend(config.crf.backend)
    refine = partial(dense_crf, params=crf_params(config.crf), backend=backend)
    key = ["crf", config.crf.model_dump(exclude={"backend"}), backend]
    return Refiner(refine, key, partial(warm_up, backend))


def _plugged(name: str) -> Refiner:
    plugin = find_plugin(name, ENTRY_POINTS)
    if plugin is None:
        raise unknown_name(
            "rounds.refiner or cam.refiner", name, ("crf", "par", "none"), ENTRY_POINTS
        )
    refine: Refine = load_plugin(plugin)
    return Refiner(partial(_checked, refine=refine, name=name), plugin_key(plugin), lambda: None)


def _checked(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
    refine: Refine,
    name: str,
) -> NDArray[np.float32]:
    """What a plug-in makes, refused where it is no refinement."""
    refined = np.asarray(refine(image, scores, allowed=allowed))
    if refined.shape != scores.shape or not np.isfinite(refined).all():
        rule, got = f"finite and of shape {scores.shape}", f"shape {refined.shape}"
        raise InputError(f"result of refiner {name!r}", rule, got, "correct the plug-in")
    return refined.astype(np.float32)


def unrefined(
    image: NDArray[np.uint8],  # noqa: ARG001 - every refiner takes one
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return scores as probabilities, nothing else.

    Args:
        image: Not looked at.
        scores: (C, H, W) of at least 0.
        allowed: (C, H, W) bool; None allows everything.

    Returns:
        (C, H, W) float32 that sum to 1 over C, 0 where not allowed.
    """
    return normalised(scores, allowed)


def crf_params(settings: CRFSettings) -> CRFParams:
    """Return the parameters of a configuration.

    Args:
        settings: The group ``crf``.

    Returns:
        All but the backend.
    """
    return CRFParams(**settings.model_dump(exclude={"backend"}))
