"""Semi-supervised training: a student learns from masks, and from labels of its teacher."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from wsseg.networks.batches import Steps
from wsseg.networks.params import TrainingParams
from wsseg.networks.segmenter import capture_head_inputs, fit_to_image
from wsseg.networks.semi.params import SemiParams
from wsseg.networks.semi.pseudo_labels import (
    PseudoLabels,
    consistency_loss,
    dynamic_threshold,
    make_pseudo_labels,
    shrinking_loss,
)
from wsseg.networks.semi.views import ViewBatches, Views, cutmix
from wsseg.networks.train import GRADIENT_CLIP, Objective, TrainingModule
from wsseg.networks.training_data import TrainingBatches

_DROPPED = 0.5  # share of the encoder's channels in the feature view


class Teacher(nn.Module):
    """An exponential moving average of a student's weights and batch norm statistics.

    References:
        Tarvainen and Valpola, Mean teachers are better role models, arXiv:1703.01780; Liu et al.,
        Unbiased Teacher, arXiv:2102.09480.
    """

    def __init__(self, student: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.average = AveragedModel(student, multi_avg_fn=self._average, use_buffers=True)
        self.average.requires_grad_(False)
        self.average.eval()

    @property
    def network(self) -> nn.Module:
        """The averaged network."""
        averaged: nn.Module = self.average.module
        return averaged

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return class probabilities (N, K, h, w) float32 of normalised images (N, 3, h, w)."""
        self.average.eval()
        logits: Tensor = self.average(images)
        return logits.float().softmax(dim=1)

    def update(self, student: nn.Module) -> None:
        """Move towards the student; the first call copies it."""
        self.average.update_parameters(student)

    @torch.no_grad()
    def _average(
        self, averages: Sequence[Tensor], students: Sequence[Tensor], updates: Tensor | int
    ) -> None:
        decay = min(self.decay, 1 - 1 / (int(updates) + 1))
        for average, student in zip(averages, students, strict=True):
            if average.is_floating_point():
                average.lerp_(student.to(average), 1 - decay)
            else:  # a counter of batch norm
                average.copy_(student)


class PairedBatches(Steps):
    """For each step a batch of images with masks and one of images without.

    Args:
        early: Batches without masks in the first ``switch`` steps.
        late: Batches without masks in the other steps.

    Yields:
        The batch of ``labelled``, and that of ``early`` or ``late``.
    """

    def __init__(
        self, labelled: TrainingBatches, early: ViewBatches, late: ViewBatches, switch: int
    ) -> None:
        super().__init__(labelled.trainer)
        self.labelled, self.early, self.late, self.switch = labelled, early, late, switch

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> tuple[Any, Any]:
        """Return (images, targets) with masks, and (weak views, ``Views``) without."""
        unlabelled = self.early if step < self.switch else self.late
        place = (step, rank, world_size)
        return self.labelled.batch(*place), unlabelled.batch(*place)


class SemiTraining(TrainingModule):
    """A student, its teacher, and the losses of images with and without masks.

    Args:
        network: The student.
        objective: Loss of images with masks.
        threshold: (K,) lowest confidence of the teacher's labels by class, or a scalar.
    """

    threshold: Tensor

    def __init__(
        self,
        network: nn.Module,
        params: TrainingParams,
        objective: Objective,
        semi: SemiParams,
        threshold: Tensor,
        *,
        seed: int,
        freeze_batch_norm: bool,
    ) -> None:
        super().__init__(network, params, objective, seed=seed, freeze_batch_norm=freeze_batch_norm)
        self.semi, self.teacher = semi, Teacher(network, semi.decay)
        self.register_buffer("threshold", threshold)
        head = network.get_submodule("segmentation_head")
        self.auxiliary = copy.deepcopy(head) if semi.shrink else None

    @property
    def result(self) -> nn.Module:
        """The network to keep after the training: the teacher."""
        return self.teacher.network

    def trainable(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters to train: those of the encoder, and all others."""
        encoder, rest = super().trainable()
        return encoder, [*rest, *(self.auxiliary.parameters() if self.auxiliary else ())]

    def training_step(self, batch: tuple[Any, Any], number: int) -> Tensor:
        """Return the loss of a step, after the trial steps of ``lookahead``."""
        if self.semi.lookahead and self._teacher_is_active():
            look_ahead(
                nn.ModuleList([self.network, *([self.auxiliary] if self.auxiliary else [])]),
                self.optimizers(use_pl_optimizer=False),  # type: ignore[arg-type]  # there is one
                lambda: self.loss_of(batch),
                lambda: self.teacher.update(self.network),
                steps=self.semi.lookahead,
            )
        return super().training_step(batch, number)

    def loss_of(self, batch: tuple[Any, Any]) -> Tensor:
        """Return the loss on masks, and after ``burn_in`` also that on the teacher's labels."""
        labelled, (weak, views) = batch
        loss = super().loss_of(labelled)
        if not self._teacher_is_active():
            return loss
        return loss + self.semi.weight * self._unlabelled_loss(weak, Views(*views))

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Take an optimiser step, then update the teacher if its turn has come.

        Its turn comes after ``burn_in`` steps and from then on every ``update_every`` steps; never
        with ``lookahead``, where ``training_step`` updates the teacher. This hook of Lightning is
        used because a checkpoint written after the step must contain the updated teacher: the
        callbacks that write checkpoints run before ``on_train_batch_end`` of this module.

        Args:
            *arguments, **named: Arguments of ``LightningModule.optimizer_step``.
        """
        super().optimizer_step(*arguments, **named)
        done = self.global_step + 1 - self.semi.burn_in
        if done >= 0 and not self.semi.lookahead and done % self.semi.update_every == 0:
            self.teacher.update(self.network)

    def _teacher_is_active(self) -> bool:
        return self.global_step >= self.semi.burn_in and self.semi.weight > 0

    def _unlabelled_loss(self, weak: Tensor, views: Views) -> Tensor:
        probabilities = self.teacher(weak.contiguous(memory_format=torch.channels_last))
        threshold = self.threshold
        target = make_pseudo_labels(probabilities, views.allowed, views.inside, threshold)
        if self.semi.threshold == "dynamic":
            threshold = dynamic_threshold(target.confidence, target.inside)
            target = make_pseudo_labels(probabilities, views.allowed, views.inside, threshold)
        pairs = zip(views.strong.unbind(1), views.cut.unbind(1), strict=True)
        losses = [self._view_loss(view, cut, target, threshold) for view, cut in pairs]
        strong = torch.stack(losses).mean() if losses else None
        if not self.semi.feature_view:
            return weak.new_zeros(()) if strong is None else strong
        with drop_features(self.network):
            dropped = consistency_loss(self.network(weak), target, self.semi)
        return dropped if strong is None else (strong + dropped) / 2

    def _view_loss(
        self, view: Tensor, cut: Tensor, target: PseudoLabels, threshold: Tensor
    ) -> Tensor:
        target = PseudoLabels(*(cutmix(value, cut) for value in target))
        image = cutmix(view, cut).contiguous(memory_format=torch.channels_last)
        with capture_head_inputs(self.network) as features:
            loss = consistency_loss(self.network(image), target, self.semi)
        if self.auxiliary is None:
            return loss
        logits = fit_to_image(self.network, self.auxiliary(features[0]), image.shape[2:])
        return loss + self.semi.shrink * shrinking_loss(logits, target, threshold)


def look_ahead(
    student: nn.Module,
    optimizer: Optimizer,
    loss: Callable[[], Tensor],
    update_teacher: Callable[[], None],
    *,
    steps: int,
) -> None:
    """Update the teacher along trial steps of the student, which are then undone.

    Before each trial step and after the last one the teacher is updated. Weights and statistics of
    the student and the state of the optimizer are then restored; the teacher keeps its updates.

    Args:
        student: All that the optimizer trains.
        loss: Computes the student's loss with the current teacher.
        steps: Number of trial steps.

    References:
        Du et al., Learning from Future, arXiv:2209.06993.
    """
    before = {name: value.clone() for name, value in student.state_dict().items()}
    state = copy.deepcopy(optimizer.state_dict())
    for _ in range(steps):
        update_teacher()
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]  # torch does not say its types
        torch.nn.utils.clip_grad_norm_(student.parameters(), GRADIENT_CLIP)
        optimizer.step()
    update_teacher()
    optimizer.zero_grad()
    student.load_state_dict(before)
    optimizer.load_state_dict(state)


@contextmanager
def drop_features(network: nn.Module) -> Iterator[None]:
    """Drop half of the channels of the encoder's features.

    References:
        Yang et al., UniMatch, arXiv:2208.09910.
    """

    def drop(_: nn.Module, __: Any, features: Any) -> Any:
        if isinstance(features, Tensor):
            return functional.dropout2d(features, _DROPPED)
        if isinstance(features, tuple):  # feature maps and tokens of a vision transformer
            return [functional.dropout2d(f, _DROPPED) for f in features[0]], features[1]
        # The first one is the image.
        return [features[0], *(functional.dropout2d(f, _DROPPED) for f in features[1:])]

    hook = network.get_submodule("encoder").register_forward_hook(drop)
    try:
        yield
    finally:
        hook.remove()
