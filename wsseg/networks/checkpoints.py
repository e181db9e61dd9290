"""Checkpoints that a training resumes from: the last, and the one before."""

from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from wsseg.networks.weights import whole_content, write_checkpoint
from wsseg.runs.progress import log

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are complete or absent, whenever the process is killed.

    The one before is kept as ``previous.ckpt``, for the case that the disk damages the last.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, *_: Any, **__: Any) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: What Lightning wants kept.
            path: The file.
        """
        last = Path(path)
        if last.exists():  # renamed first, so that there are never three of them
            last.replace(last.with_name(PREVIOUS))
        write_checkpoint(last, checkpoint)


def whole_checkpoint(folder: Path, title: str) -> tuple[Path | None, int]:
    """Return the checkpoint that a training goes on from, and its step; damaged ones are removed.

    Args:
        folder: With the last checkpoint and the one before.
        title: Of the training, shown before what is told.

    Returns:
        The file, None where there is none that is whole, and the number of steps done.
    """
    found = [path for name in (LAST, PREVIOUS) if (path := folder / name).exists()]
    for path in found:
        try:
            step = int(whole_content(path)["global_step"])
        except Exception as error:  # torch and zipfile raise many kinds for a damaged file
            log(f"{title}: {path} is damaged ({type(error).__name__})")
            path.unlink()
        else:
            log(f"{title}: going on from step {step}")
            return path, step
    if found:
        log(f"{title}: no whole checkpoint is left; training starts again")
    return None, 0
