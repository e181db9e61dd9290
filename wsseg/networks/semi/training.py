"""Semi-supervised training: masks teach the student, and a teacher labels the other images."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsseg.networks.batches import Steps
from wsseg.networks.params import TrainingParams
from wsseg.networks.segmenter import head_inputs
from wsseg.networks.semi.consistency import Taught, consistency, dynamic_threshold, shrunk, taught
from wsseg.networks.semi.lookahead import look_ahead
from wsseg.networks.semi.params import SemiParams
from wsseg.networks.semi.teacher import Teacher
from wsseg.networks.semi.views import ViewBatches, Views, mixed
from wsseg.networks.train import GRADIENT_CLIP, Objective, TrainingModule
from wsseg.networks.training_data import TrainingBatches

_DROPPED = 0.5  # share of the encoder's channels in the view of features
_STEEPNESS = 5.0  # of the ramp


class PairedBatches(Steps):
    """A batch of images with masks and one of images without, each step.

    Args:
        labelled: With masks.
        early: Without, in the first steps.
        late: Without, in the others.
        switch: Number of the first steps.

    Yields:
        The batch of ``labelled``, and that of ``early`` or ``late``.
    """

    def __init__(
        self, labelled: TrainingBatches, early: ViewBatches, late: ViewBatches, switch: int
    ) -> None:
        super().__init__(labelled.settings)
        self.labelled, self.early, self.late, self.switch = labelled, early, late, switch

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> tuple[Any, Any]:
        """Return one device's share of both batches of a step.

        Args:
            step: From 0.
            rank: The device's number.
            world_size: Number of devices that share each batch.

        Returns:
            (images, targets) with masks, and (weak views, ``Views``) without.
        """
        unlabelled = self.early if step < self.switch else self.late
        place = (step, rank, world_size)
        return self.labelled.batch(*place), unlabelled.batch(*place)


class SemiTraining(TrainingModule):
    """A student, its teacher, and the losses of both kinds of images.

    Args:
        network: The student, whose weights the teacher begins with.
        settings: Learning rates, steps.
        objective: Of images with masks.
        semi: How the teacher's labels are learned.
        least: (K,) least confidence of the teacher's labels by class, or a scalar.
        seed: Of dropout, which depends on seed and step only.
        freeze_batch_norm: Keep the encoder's normalisation statistics as they are.
    """

    least: Tensor

    def __init__(
        self,
        network: nn.Module,
        settings: TrainingParams,
        objective: Objective,
        semi: SemiParams,
        least: Tensor,
        *,
        seed: int,
        freeze_batch_norm: bool,
    ) -> None:
        super().__init__(
            network, settings, objective, seed=seed, freeze_batch_norm=freeze_batch_norm
        )
        self.semi, self.teacher = semi, Teacher(network, semi.teacher)
        self.register_buffer("least", least)
        head = network.get_submodule("segmentation_head")
        self.auxiliary = copy.deepcopy(head) if semi.shrink else None

    @property
    def result(self) -> nn.Module:
        """The network that the training is for."""
        return self.teacher.network if self.semi.keep == "teacher" else self.network

    def trainable(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return what trains: parameters of the encoder, and all others."""
        encoder, rest = super().trainable()
        return encoder, [*rest, *(self.auxiliary.parameters() if self.auxiliary else ())]

    def training_step(self, batch: tuple[Any, Any], number: int) -> Tensor:
        """Return the loss of a step; with ``future`` the student first goes ahead on trial.

        Args:
            batch: Of ``PairedBatches``.
            number: Of the step.

        Returns:
            Scalar.

        Raises:
            DivergenceError: The loss is NaN or infinite.
        """
        if self.semi.future and self._is_taught():
            look_ahead(
                nn.ModuleList([self.network, *([self.auxiliary] if self.auxiliary else [])]),
                self.optimizers(use_pl_optimizer=False),  # type: ignore[arg-type]  # there is one
                lambda: self.loss_of(batch),
                lambda: self.teacher.follow(self.network, 0),
                steps=self.semi.future,
                clip=GRADIENT_CLIP,
            )
        return super().training_step(batch, number)

    def loss_of(self, batch: tuple[Any, Any]) -> Tensor:
        """Return the loss on masks, and after ``burn_in`` that on the teacher's labels.

        Args:
            batch: Of ``PairedBatches``.

        Returns:
            Scalar.
        """
        labelled, (weak, views) = batch
        loss = super().loss_of(labelled)
        if not self._is_taught():
            return loss
        done = self.global_step - self.semi.burn_in
        return loss + self.semi.weight * ramp(done, self.semi.ramp) * self._unlabelled(weak, views)

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Take the step, and let the teacher follow; it has done so if it looks ahead.

        It is no hook at a batch's end: checkpoints are written before those of modules.

        Args:
            *arguments: Lightning's.
            **named: Lightning's.
        """
        super().optimizer_step(*arguments, **named)
        done = self.global_step + 1 - self.semi.burn_in
        if done >= 0 and not self.semi.future:
            self.teacher.follow(self.network, done)

    def _is_taught(self) -> bool:
        return self.global_step >= self.semi.burn_in and self.semi.weight > 0

    def _unlabelled(self, weak: Tensor, views: Views) -> Tensor:
        views = Views(*views)
        probabilities = self.teacher(weak.contiguous(memory_format=torch.channels_last))
        target = taught(probabilities, views.allowed, views.inside, self.least)
        least = self.least
        if self.semi.threshold == "dynamic":
            least = dynamic_threshold(target.confidence, target.inside)
            target = taught(probabilities, views.allowed, views.inside, least)
        seen = zip(views.strong.unbind(1), views.cut.unbind(1), strict=True)
        losses = [self._of_view(view, cut, target, least) for view, cut in seen]
        strong = torch.stack(losses).mean() if losses else None
        if not self.semi.views.features:
            return weak.new_zeros(()) if strong is None else strong
        with dropped_features(self.network):
            dropped = consistency(self.network(weak), target, self.semi)
        return dropped if strong is None else (strong + dropped) / 2

    def _of_view(self, view: Tensor, cut: Tensor, target: Taught, least: Tensor) -> Tensor:
        target = Taught(*(mixed(value, cut) for value in target))
        image = mixed(view, cut).contiguous(memory_format=torch.channels_last)
        with head_inputs(self.network) as features:
            loss = consistency(self.network(image), target, self.semi)
        if self.auxiliary is None:
            return loss
        return loss + self.semi.shrink * shrunk(self.auxiliary(features[0]), target, least)


def ramp(done: int, length: int) -> float:
    """Return how much of its weight a loss has.

    Args:
        done: Steps since it began.
        length: Steps until it has all.

    Returns:
        exp(-5 (1 - done / length)^2), and 1 from then on.

    References:
        Laine and Aila, Temporal Ensembling, arXiv:1610.02242.

    Example:
        >>> round(ramp(0, 10), 4), ramp(10, 10), ramp(0, 0)
        (0.0067, 1.0, 1.0)
    """
    left = 1 - min(done / length, 1.0) if length else 0.0
    return math.exp(-_STEEPNESS * left**2)


@contextmanager
def dropped_features(network: nn.Module) -> Iterator[None]:
    """Within it, half of the channels of the encoder's features are dropped.

    Args:
        network: Of ``build_network``.

    References:
        Yang et al., UniMatch, arXiv:2208.09910.
    """

    def drop(_: nn.Module, __: Any, features: list[Tensor]) -> list[Tensor]:
        return [features[0], *(functional.dropout2d(f, _DROPPED) for f in features[1:])]

    hook = network.get_submodule("encoder").register_forward_hook(drop)
    try:
        yield
    finally:
        hook.remove()
