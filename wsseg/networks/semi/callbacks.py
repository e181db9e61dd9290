"""Callbacks of trainings on masks: intermediate checkpoints, and the stop of a collapsed one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from wsseg.bands import ImageParams
from wsseg.data.model import Classes
from wsseg.labelmaps import IGNORE
from wsseg.networks.checkpoints import save_network
from wsseg.networks.params import SegmenterParams
from wsseg.networks.training_data import TrainingBatches

SNAPSHOTS = (1 / 3, 2 / 3)
"""Shares of a training at which ``Snapshots`` are taken."""

_MIN_SHARE = 0.2  # of the object pixels that the network before the training predicted
_BATCHES = 4
_CHECKS = 10  # per training; those in its first half are left out
_FAR = 1_000_000  # a step whose crops no training reaches


class Snapshots(Callback):
    """Save intermediate checkpoints after 1/3 and 2/3 of the training (ST++).

    Args:
        folder: Gets ``snapshot-1.ckpt`` and ``snapshot-2.ckpt``.
        steps: Length of the training in optimiser steps.
        reading: Range and bands that the images are read with.
    """

    def __init__(
        self,
        folder: Path,
        classes: Classes,
        params: SegmenterParams,
        steps: int,
        *,
        reading: ImageParams,
    ) -> None:
        self.folder, self.classes = folder, classes
        self.params, self.reading = params, reading
        self.moments = {max(1, round(steps * share)): i + 1 for i, share in enumerate(SNAPSHOTS)}

    def on_train_batch_end(self, trainer: Any, training: Any, *_: Any) -> None:
        """Save a checkpoint if the step is one of the two."""
        number = self.moments.get(trainer.global_step)
        if number and trainer.is_global_zero:
            path = self.folder / f"snapshot-{number}.ckpt"
            network, reading = training.network, self.reading
            save_network(path, "segmenter", network, self.params, self.classes, reading=reading)


class CollapseAlarm(Callback):
    """Stop a training whose network predicts background almost everywhere.

    It is stopped when ``object_recall`` is below 20 % of that before the training, which is checked
    after 50, 60, ..., 100 % of the steps.

    Args:
        network: Returns the network to check, such as the teacher.
        before: ``object_recall`` of the network before the training, 0..1.
        batches: Batches of images with masks; the same four are used in every check.
        steps: Length of the training in optimiser steps.
        report: Receives a message for the user when the training is stopped.

    Attributes:
        step: The step at which the training was stopped, or None.
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
        """Return the state that a checkpoint keeps."""
        return {"step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state that a checkpoint has kept."""
        self.step = state_dict["step"]

    def on_train_start(self, trainer: Any, _: Any) -> None:
        """End a resumed training at once if it had been stopped before its interruption."""
        trainer.should_stop = self.step is not None

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Check the network if the step is one of those named above."""
        if trainer.global_step not in self.moments:
            return
        recall = object_recall(self.network(), self.batches)
        if recall < _MIN_SHARE * self.before:
            self.step, trainer.should_stop = trainer.global_step, True
            self.report(
                f"collapsed by step {self.step}: {recall:.1%} of object pixels are predicted"
            )


@torch.no_grad()
def object_recall(network: nn.Module, batches: TrainingBatches) -> float:
    """Return the share of object pixels that a network predicts as any object, 0..1.

    It is 1 if there is no object. The mode of the network is left as it was.
    """
    was_training = network.training
    device = next(network.parameters()).device
    network.eval()
    predicted = total = 0
    for number in range(_BATCHES):
        images, target = batches.batch(_FAR + number)
        is_object = (target.labels != IGNORE) & (target.labels > 0)
        is_predicted = network(images.to(device)).argmax(dim=1).cpu() > 0
        predicted += int((is_object & is_predicted).sum())
        total += int(is_object.sum())
    network.train(was_training)
    return predicted / total if total else 1.0
