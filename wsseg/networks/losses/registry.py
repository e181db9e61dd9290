"""Losses of the segmenter by name, and their weighted sum."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor, nn

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
from wsseg.networks.losses.tightness import tightness
from wsseg.networks.losses.tree_energy import tree_energy
from wsseg.networks.params import NetworkParams, SegmenterTrainingParams
from wsseg.networks.segmenter import capture_head_inputs, crop_features
from wsseg.networks.training_data import Target


@dataclass(frozen=True, eq=False)
class LossInputs:
    """The tensors of a training step.

    Attributes:
        logits: (N, K, H, W) float.
        features: (N, F, h, w) float, the input of the network's last layer.
        colours: (N, 3, H, W) float32 RGB in 0..1.
        labels: (N, H, W) int64 labels or IGNORE.
        inside: (N, H, W) bool, False on padding.
        possible: (N, K) bool: the classes that can occur in each image.
        row_boxes, column_boxes, box_labels: (N, H, W) int64, see ``box_planes``.
    """

    logits: Tensor
    features: Tensor
    colours: Tensor
    labels: Tensor
    inside: Tensor
    possible: Tensor
    row_boxes: Tensor
    column_boxes: Tensor
    box_labels: Tensor

    @property
    def unlabelled(self) -> Tensor:
        """(N, H, W) bool: pixels of the image without a label."""
        return self.inside & (self.labels == IGNORE)


Loss = Callable[[LossInputs], Tensor]
"""(tensors of a step) -> scalar; 0 if nothing applies."""

_GATED_CRF_SCALE = 4  # side in pixels of the squares that it compares
_WARM_UP = 0.1  # share of the steps before the losses that need no labels join

LABEL_LOSSES: dict[str, Loss] = {
    "ce": lambda x: cross_entropy(x.logits, x.labels),
    "partial_ce": lambda x: partial_cross_entropy(x.logits, x.labels),
    "focal": lambda x: focal(x.logits, x.labels),
    "dice": lambda x: dice(x.logits, x.labels),
}
"""Losses of labelled pixels."""

LOSSES: dict[str, Loss] = {
    **LABEL_LOSSES,
    "gated_crf": lambda x: gated_crf(
        x.logits, x.colours, x.unlabelled, sources=x.inside, scale=_GATED_CRF_SCALE
    ),
    "dense_crf": lambda x: dense_crf_loss(x.logits, x.colours, inside=x.inside),
    "tree_energy": lambda x: tree_energy(
        x.logits, x.colours, x.features, x.unlabelled, inside=x.inside
    ),
    "agmm": lambda x: agmm(x.logits, x.features, x.labels, x.possible, inside=x.inside),
    "tightness": lambda x: tightness(x.logits, x.row_boxes, x.column_boxes, x.box_labels),
}
"""All losses; those that are not ``LABEL_LOSSES`` join after a tenth of the steps."""

DENSE_LOSSES = {"ce": 1.0, "tightness": 0.1}
"""Default weights for images with a label at almost every pixel."""
SPARSE_LOSSES = {"partial_ce": 1.0, "tree_energy": 0.4, "tightness": 0.1}
"""Default weights for images with few labelled pixels."""


def check_losses(names: Iterable[str]) -> None:
    """Raise if a loss is unknown, or if no loss learns from labels.

    Raises:
        InputError: A name is unknown, or none is in ``LABEL_LOSSES``.
    """
    used = list(names)
    for name in used:
        if name not in LOSSES:
            rule = f"made of {', '.join(LOSSES)}"
            raise InputError("trainer.loss", rule, name, "choose from them")
    if not LABEL_LOSSES.keys() & used:
        rule = f"with at least one of {', '.join(LABEL_LOSSES)}"
        raise InputError("trainer.loss", rule, ", ".join(used) or "nothing", "add ce")


class WeightedLosses:
    """The weighted sum of losses; an ``Objective``.

    Args:
        trainer: Its ``loss`` has the weights; None is ``DENSE_LOSSES``.
        model: Mean and standard deviation of the images.
    """

    def __init__(self, trainer: SegmenterTrainingParams, model: NetworkParams) -> None:
        self.weights, self.model = trainer.loss or DENSE_LOSSES, model

    def __call__(
        self, network: nn.Module, images: Tensor, target: Target, progress: float
    ) -> Tensor:
        """Return the loss of a batch."""
        with capture_head_inputs(network) as features:
            logits = network(images)
        mean, std = (
            images.new_tensor(values)[:, None, None] for values in (self.model.mean, self.model.std)
        )
        visible = crop_features(network, features[0], images.shape[2:])
        inputs = LossInputs(logits, visible, images * std + mean, *target)
        active = LABEL_LOSSES if progress < _WARM_UP else LOSSES
        terms = (
            weight * LOSSES[name](inputs) for name, weight in self.weights.items() if name in active
        )
        return sum(terms, logits.sum() * 0)
