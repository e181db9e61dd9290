"""The teacher: a network whose weights follow the student's."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from wsseg.networks.semi.params import TeacherParams


class Teacher(nn.Module):
    """An exponential moving average of a student's weights; saved wherever the student is.

    Args:
        student: The network; its weights are copied.
        settings: Decay, interval, buffers.

    References:
        Tarvainen and Valpola, Mean teachers are better role models, arXiv:1703.01780; Liu et al.,
        Unbiased Teacher, arXiv:2102.09480.
    """

    def __init__(self, student: nn.Module, settings: TeacherParams) -> None:
        super().__init__()
        self.settings = settings
        self.average = AveragedModel(
            student, multi_avg_fn=self._averaged, use_buffers=settings.buffers
        )
        self.average.requires_grad_(False)
        self.average.eval()

    @property
    def network(self) -> nn.Module:
        """The averaged network."""
        averaged: nn.Module = self.average.module
        return averaged

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return class probabilities.

        Args:
            images: (N, 3, h, w) float32, normalised.

        Returns:
            (N, K, h, w) float32.
        """
        self.average.eval()
        logits: Tensor = self.average(images)
        return logits.float().softmax(dim=1)

    def follow(self, student: nn.Module, step: int) -> None:
        """Move towards the student, or become its copy at the first call.

        Args:
            student: The network.
            step: Steps of the student so far; only every ``settings.every`` th counts.
        """
        if step % self.settings.every == 0:
            self.average.update_parameters(student)

    @torch.no_grad()
    def _averaged(
        self, averages: Sequence[Tensor], students: Sequence[Tensor], updates: Tensor | int
    ) -> None:
        """Update in place; numbers that are counted, not averaged, are copied."""
        decay = min(self.settings.decay, 1 - 1 / (int(updates) + 1))
        for average, student in zip(averages, students, strict=True):
            if average.is_floating_point():
                average.lerp_(student.to(average), 1 - decay)
            else:
                average.copy_(student)
