"""A network as it was on the way."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from wsseg.data.model import Classes
from wsseg.networks.params import SegmenterParams
from wsseg.networks.prediction import save_segmenter

SNAPSHOTS = (1 / 3, 2 / 3)
"""Shares of a training at which its network is kept."""


class Snapshots(Callback):
    """Keeps the network at a third and at two thirds of its training.

    Args:
        folder: Gets ``snapshot-1.ckpt`` and ``snapshot-2.ckpt``.
        classes: Of the data set.
        settings: Of the network.
        steps: Of the training.
    """

    def __init__(
        self, folder: Path, classes: Classes, settings: SegmenterParams, steps: int
    ) -> None:
        self.folder, self.classes, self.settings = folder, classes, settings
        self.moments = {max(1, round(steps * share)): i + 1 for i, share in enumerate(SNAPSHOTS)}

    def on_train_batch_end(self, trainer: Any, training: Any, *_: Any) -> None:
        """Write a snapshot where it is time."""
        number = self.moments.get(trainer.global_step)
        if number and trainer.is_global_zero:
            path = self.folder / f"snapshot-{number}.ckpt"
            save_segmenter(path, training.network, self.classes, self.settings)


def snapshots_of(folder: Path) -> tuple[Path, ...]:
    """Return the files that ``Snapshots`` wrote.

    Args:
        folder: The training's.

    Returns:
        The files, first to last; empty where it kept none.
    """
    return tuple(sorted(folder.glob("snapshot-*.ckpt")))
