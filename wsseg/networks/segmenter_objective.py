"""What the segmenter minimises: a weighted sum of losses."""

from torch import Tensor, nn

from wsseg.networks.losses.named import LOSSES, OF_LABELS, Seen
from wsseg.networks.params import SegmenterParams, SegmenterTrainingParams
from wsseg.networks.segmenter import head_inputs
from wsseg.networks.training_data import Target


class WeightedLosses:
    """The losses of a configuration, weighed; an ``Objective``.

    Args:
        trainer: Its ``loss`` names and weighs them, ``losses`` has their parameters.
        model: Says how images were normalised.
    """

    def __init__(self, trainer: SegmenterTrainingParams, model: SegmenterParams) -> None:
        self.weights, self.settings, self.model = trainer.loss, trainer.losses, model

    def __call__(
        self, network: nn.Module, images: Tensor, target: Target, progress: float
    ) -> Tensor:
        """Return the sum for a batch.

        Args:
            network: Of ``build_network``.
            images: (N, 3, H, W) float32, normalised.
            target: What is known of them.
            progress: Share of the steps done, 0..1.

        Returns:
            Scalar.
        """
        seen = self._seen(network, images, target)
        active = OF_LABELS if progress < self.settings.warm_up else LOSSES
        terms = (
            weight * LOSSES[name](seen, self.settings)
            for name, weight in self.weights.items()
            if name in active
        )
        return sum(terms, seen.logits.sum() * 0)

    def _seen(self, network: nn.Module, images: Tensor, target: Target) -> Seen:
        with head_inputs(network) as features:
            logits = network(images)
        mean, std = (
            images.new_tensor(values)[:, None, None] for values in (self.model.mean, self.model.std)
        )
        return Seen(logits, features[0], images * std + mean, *target)
