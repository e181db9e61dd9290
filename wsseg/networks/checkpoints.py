"""Checkpoints that a training resumes from: the last, and the one before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from wsseg.networks.weights import whole_content, write_checkpoint

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are complete or absent, whenever the process is killed.

    The one before is kept as ``previous.ckpt``, in case the disk damages the last.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, *_: Any, **__: Any) -> None:
        """Write a checkpoint."""
        last = Path(path)
        if last.exists():  # It is renamed first, so that there are never three checkpoints.
            last.replace(last.with_name(PREVIOUS))
        write_checkpoint(last, checkpoint)


def find_checkpoint(folder: Path, report: Callable[[str], None]) -> tuple[Path | None, int]:
    """Return the newest whole checkpoint of a training; damaged ones are removed.

    Returns:
        The file, or None if there is no whole one, and the number of completed steps.
    """
    paths = [path for name in (LAST, PREVIOUS) if (path := folder / name).exists()]
    for path in paths:
        try:
            step = int(whole_content(path)["global_step"])
        except Exception as error:  # torch and zipfile raise many kinds for a damaged file
            report(f"{path} is damaged ({type(error).__name__})")
            path.unlink()
        else:
            report(f"going on from step {step}")
            return path, step
    if paths:
        report("no whole checkpoint is left; training starts again")
    return None, 0
