"""The alarm for a network that has come to see nothing but background."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from wsseg.labelmaps import IGNORE
from wsseg.networks.training_data import TrainingBatches

_LEAST = 0.2  # of what the network before it saw
_BATCHES = 4
_CHECKS = 10  # a training; those in its first half do not count
_FAR = 1_000_000  # steps whose crops no training sees


class CollapseAlarm(Callback):
    """Stops a training whose network sees hardly any of the object pixels that it saw before.

    Args:
        network: Returns the network that the training is for.
        before: Share of the object pixels in which the network before it sees an object, 0..1.
        batches: Of images with masks; some of their crops are looked at.
        steps: Of the training.
        report: Receives messages for the user.

    Attributes:
        step: When the training was stopped; None while the network is sound.
    """

    def __init__(
        self,
        network: Callable[[], nn.Module],
        before: float,
        batches: TrainingBatches,
        steps: int,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.network, self.before, self.batches = network, before, batches
        self.report = report
        self.moments = {steps * check // _CHECKS for check in range(_CHECKS // 2, _CHECKS + 1)}
        self.step: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs to know."""
        return {"step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the alarm.

        Args:
            state_dict: From ``state_dict``.
        """
        self.step = state_dict["step"]

    def on_train_start(self, trainer: Any, _: Any) -> None:
        """Do not go on where the alarm was raised before an interrupt."""
        trainer.should_stop = self.step is not None

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Look at the network at some steps."""
        if trainer.global_step not in self.moments:
            return
        seen = objects_seen(self.network(), self.batches)
        if seen < _LEAST * self.before:
            self.step, trainer.should_stop = trainer.global_step, True
            self.report(
                f"collapsed by step {self.step}: objects seen in {seen:.1%} of their pixels"
            )


@torch.no_grad()
def objects_seen(network: nn.Module, batches: TrainingBatches) -> float:
    """Return the share of object pixels in which a network sees some object.

    Args:
        network: Maps (N, 3, h, w) to (N, K, h, w); its mode is left as it was.
        batches: Of images with masks.

    Returns:
        0..1; 1 where there is no object.
    """
    was_training = network.training
    device = next(network.parameters()).device
    network.eval()
    counts = [
        _counted(network(images.to(device)), target.labels.to(device))
        for images, target in (batches.batch(_FAR + number) for number in range(_BATCHES))
    ]
    network.train(was_training)
    seen, objects = torch.stack(counts).sum(dim=0).tolist()
    return seen / objects if objects else 1.0


def _counted(logits: Tensor, labels: Tensor) -> Tensor:
    is_object = (labels != IGNORE) & (labels > 0)
    return torch.stack([(is_object & (logits.argmax(dim=1) > 0)).sum(), is_object.sum()])
