"""What a person sees of a training while it goes on, and its loss curve."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.progress import Progress

from wsseg.files import write_json
from wsseg.runs.progress import log, progress_bar

_WINDOW = 50  # steps a point of the loss curve


class TrainingWatch(Callback):
    """Shows progress, keeps the loss curve, and warns at early signs of divergence.

    Args:
        title: Shown before the progress bar.
        path: Where the loss curve is written in the end, as JSON.
    """

    def __init__(self, title: str, path: Path) -> None:
        self.title, self.path = title, path
        self.curve: list[float] = []
        self._window: list[float] = []
        self._bar: Progress | None = None

    def on_train_start(self, trainer: Any, _: Any) -> None:
        """Open the progress bar."""
        self._bar = progress_bar()
        self._bar.start()
        steps, done = trainer.max_steps, trainer.global_step
        self._task = self._bar.add_task(self.title, total=steps, completed=done, note="")

    def on_train_batch_end(self, trainer: Any, _: Any, outputs: Any, *__: Any) -> None:
        """Move the progress bar on; at the end of a window add a point to the loss curve."""
        self._window.append(float(outputs["loss"]))
        if self._bar:
            note = f"loss {self._window[-1]:.3f}"
            self._bar.update(self._task, completed=trainer.global_step, note=note)
        if len(self._window) == _WINDOW:
            self._add_point()
            self._warn(trainer.global_step)

    def _add_point(self) -> None:
        self.curve.append(round(sum(self._window) / len(self._window), 4))
        self._window = []

    def _warn(self, step: int) -> None:
        if len(self.curve) > 2 and self.curve[-1] > 1.5 * self.curve[0]:
            rise = f"loss rose from {self.curve[0]:.3f} to {self.curve[-1]:.3f} by step {step}"
            log(f"{self.title}: {rise}; the learning rate may be too high")

    def on_fit_end(self, trainer: Any, _: Any) -> None:
        """Close the progress bar and write the loss curve, even if no step was left to train."""
        self._close_bar()
        if self._window:
            self._add_point()
        if not trainer.is_global_zero:
            return
        write_json(self.path, self.curve)
        log(f"{self.title}: {trainer.global_step} steps, loss {self.curve[-1]:.3f}")

    def on_exception(self, *_: Any) -> None:
        """Close the progress bar."""
        self._close_bar()

    def _close_bar(self) -> None:
        if self._bar:
            self._bar.stop()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs to go on."""
        return {"curve": self.curve, "window": self._window}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the loss curve.

        Args:
            state_dict: From ``state_dict``.
        """
        self.curve, self._window = list(state_dict["curve"]), list(state_dict["window"])
