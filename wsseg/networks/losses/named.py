"""Losses by name, as a configuration weighs them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.networks.losses.agmm import agmm
from wsseg.networks.losses.dense_crf import dense_crf_loss
from wsseg.networks.losses.gated_crf import gated_crf
from wsseg.networks.losses.labelled import (
    cross_entropy,
    dice,
    focal,
    partial_cross_entropy,
)
from wsseg.networks.losses.tree_energy import tree_energy
from wsseg.networks.params import LossParams


@dataclass(frozen=True, eq=False)
class Seen:
    """What a training step has seen.

    Attributes:
        logits: (N, K, H, W) float.
        features: (N, F, h, w) float, what the network's last layer sees.
        colours: (N, 3, H, W) float32 RGB in 0..1.
        labels: (N, H, W) int64 labels or IGNORE.
        inside: (N, H, W) bool, False on padding.
        possible: (N, K) bool: classes that each image may show.
    """

    logits: Tensor
    features: Tensor
    colours: Tensor
    labels: Tensor
    inside: Tensor
    possible: Tensor

    @property
    def unlabelled(self) -> Tensor:
        """(N, H, W) bool: pixels of the image whose label is not known."""
        return self.inside & (self.labels == IGNORE)


Loss = Callable[[Seen, LossParams], Tensor]
"""(what a step has seen, parameters) -> scalar; 0 where nothing applies."""


def _cross_entropy(seen: Seen, _: LossParams) -> Tensor:
    return cross_entropy(seen.logits, seen.labels)


def _partial_cross_entropy(seen: Seen, _: LossParams) -> Tensor:
    return partial_cross_entropy(seen.logits, seen.labels)


def _focal(seen: Seen, settings: LossParams) -> Tensor:
    return focal(seen.logits, seen.labels, settings.focal_gamma)


def _dice(seen: Seen, _: LossParams) -> Tensor:
    return dice(seen.logits, seen.labels)


def _gated_crf(seen: Seen, settings: LossParams) -> Tensor:
    params = settings.gated_crf.model_dump()
    return gated_crf(seen.logits, seen.colours, seen.unlabelled, sources=seen.inside, **params)


def _dense_crf(seen: Seen, settings: LossParams) -> Tensor:
    params = settings.dense_crf.model_dump()
    return dense_crf_loss(seen.logits, seen.colours, inside=seen.inside, **params)


def _tree_energy(seen: Seen, settings: LossParams) -> Tensor:
    params = settings.tree_energy.model_dump()
    gate, features = seen.unlabelled, seen.features
    return tree_energy(seen.logits, seen.colours, features, gate, inside=seen.inside, **params)


def _agmm(seen: Seen, settings: LossParams) -> Tensor:
    params = settings.agmm.model_dump()
    known = (seen.features, seen.labels, seen.possible)
    return agmm(seen.logits, *known, inside=seen.inside, **params)


OF_LABELS: dict[str, Loss] = {
    "ce": _cross_entropy,
    "partial_ce": _partial_cross_entropy,
    "focal": _focal,
    "dice": _dice,
}
"""Losses of labelled pixels."""

LOSSES: dict[str, Loss] = {
    **OF_LABELS,
    "gated_crf": _gated_crf,
    "dense_crf": _dense_crf,
    "tree_energy": _tree_energy,
    "agmm": _agmm,
}
"""All losses; those that are not ``OF_LABELS`` join after ``trainer.losses.warm_up``."""


def check_losses(names: Iterable[str], setting: str = "trainer.loss") -> None:
    """Refuse unknown losses, and losses that learn from no label.

    Args:
        names: Its keys.
        setting: Named in errors.

    Raises:
        InputError: A name is unknown, or none is of ``OF_LABELS``.
    """
    given = list(names)
    for name in given:
        if name not in LOSSES:
            rule = f"made of {', '.join(LOSSES)}"
            raise InputError(setting, rule, name, "choose from them")
    if not OF_LABELS.keys() & given:
        rule = f"with at least one of {', '.join(OF_LABELS)}"
        raise InputError(setting, rule, ", ".join(given) or "nothing", "add ce")
