"""Training loop on Lightning: a killed training resumes to the same weights."""

import json
import logging
import math
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from joblib import cpu_count
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from wsseg.errors import DivergenceError, InputError
from wsseg.files import write_json
from wsseg.networks.batches import Steps
from wsseg.networks.checkpoints import LAST, AtomicCheckpoints, find_checkpoint
from wsseg.networks.params import MachineParams, TrainingParams
from wsseg.networks.weights import device_of, parameter_groups

Objective = Callable[[nn.Module, Tensor, Any, float], Tensor]
"""(network, images (B, 3, h, w), targets, completed share of the steps 0..1) -> scalar loss."""

GRADIENT_CLIP = 5.0
"""Largest norm of the gradient."""

_WEIGHT_DECAY = 0.01
_WARM_UP = 0.05  # share of the steps in which the learning rate rises
_LOG_EVERY = 10  # steps
_WINDOW = 50  # steps per point of the loss curve
# Advice of Lightning on settings that are chosen here on purpose.
_ADVICE = (
    ".*(does not have many workers|exists and is not empty|mid-epoch|LeafSpec"
    "|in eval mode at the start of training)"
)


class TrainingModule(lightning.LightningModule):
    """A network, its objective and its optimizer: AdamW with a one-cycle schedule.

    Args:
        network: Has a submodule ``encoder``, which gets its own learning rate.
        seed: Seed of dropout, which depends on seed and step only.
        freeze_batch_norm: Keep the normalisation statistics of the encoder.
    """

    def __init__(
        self,
        network: nn.Module,
        params: TrainingParams,
        objective: Objective,
        *,
        seed: int,
        freeze_batch_norm: bool,
    ) -> None:
        super().__init__()
        self.network, self.params, self.seed = network, params, seed
        self.freeze_batch_norm = freeze_batch_norm
        self.objective = objective
        self.is_compiled = False

    @property
    def result(self) -> nn.Module:
        """The network to keep after the training."""
        return self.network

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's
        """Compile the network if ``is_compiled``, in each process: a compiled one has no pickle."""
        if self.is_compiled:
            self.network.compile()

    def on_train_batch_start(self, batch: Any, *_: Any) -> None:
        """Seed dropout by the step and set the encoder's batch norm to eval mode.

        Raises:
            InputError: A loader process could not make the batch.
        """
        if isinstance(batch, InputError):
            raise batch
        torch.manual_seed(self.seed * 1_000_003 + self.global_step)
        if self.freeze_batch_norm:
            for module in self.network.get_submodule("encoder").modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def training_step(self, batch: tuple[Any, Any], _: int) -> Tensor:
        """Return the loss of a batch.

        Raises:
            DivergenceError: The loss is NaN or infinite.
        """
        loss = self.loss_of(batch)
        if not math.isfinite(loss.item()):
            message = f"loss is {loss.item()} at step {self.global_step}; lower encoder_lr"
            raise DivergenceError(f"{message} and decoder_lr of its trainer, or check the labels")
        self.log("loss", loss.detach())
        return loss

    def loss_of(self, batch: tuple[Any, Any]) -> Tensor:
        """Return the loss of a batch, finite or not."""
        images, targets = batch
        images = images.contiguous(memory_format=torch.channels_last)
        return self.objective(self.network, images, targets, self.global_step / self.params.steps)

    def trainable(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters to train: those of the encoder, and all others."""
        return parameter_groups(self.network)

    def configure_optimizers(self) -> Any:
        """Return AdamW with two learning rates, and its schedule."""
        rates = [self.params.encoder_lr, self.params.decoder_lr]
        groups = zip(("encoder", "decoder"), self.trainable(), rates, strict=True)
        optimizer = torch.optim.AdamW(
            [{"name": name, "params": params, "lr": rate} for name, params, rate in groups],
            weight_decay=_WEIGHT_DECAY,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rates, total_steps=self.params.steps + 1, pct_start=_WARM_UP
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class LossCurve(Callback):
    """Record the mean loss of every 50 steps, and report early signs of divergence."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self.path, self.report = path, report
        self.curve: list[float] = []
        self._window: list[float] = []

    def on_train_batch_end(self, trainer: Any, _: Any, outputs: Any, *__: Any) -> None:
        """Add the loss of a step."""
        self._window.append(float(outputs["loss"]))
        if len(self._window) == _WINDOW:
            self._add_point()
            if len(self.curve) > 2 and self.curve[-1] > 1.5 * self.curve[0]:
                rise = f"loss rose from {self.curve[0]:.3f} to {self.curve[-1]:.3f}"
                advice = "the learning rate may be too high"
                self.report(f"{rise} by step {trainer.global_step}; {advice}")

    def on_fit_end(self, trainer: Any, _: Any) -> None:
        """Write the curve, even if no step was left to train."""
        if self._window:
            self._add_point()
        if trainer.is_global_zero:
            write_json(self.path, self.curve)
            self.report(f"{trainer.global_step} steps, loss {self.curve[-1]:.3f}")

    def _add_point(self) -> None:
        self.curve.append(round(sum(self._window) / len(self._window), 4))
        self._window = []

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint keeps."""
        return {"curve": self.curve, "window": self._window}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state that a checkpoint has kept."""
        self.curve, self._window = list(state_dict["curve"]), list(state_dict["window"])


def fit(
    training: TrainingModule,
    batches: Steps,
    folder: Path,
    callbacks: Sequence[Callback] = (),
    *,
    machine: MachineParams | None = None,
    average: float | None = None,
    loggers: Callable[[int], Sequence[Logger]] = lambda _: (),
    report: Callable[[str], None] = lambda _: None,
    strategy: Any = None,
    plugins: Sequence[Any] = (),
) -> list[float]:
    """Train a network in place, from the last checkpoint in the folder if there is one.

    Args:
        folder: Gets ``loss.json``, and ``checkpoint/`` with the last two checkpoints; remove that
            folder once the network is saved.
        callbacks: Further callbacks of Lightning.
        average: Decay per step of an average of the weights that becomes the result, or None.
        loggers: Receives the number of completed steps, returns loggers of loss and learning rates.
        report: Receives messages for the user.
        strategy: Strategy of Lightning for a training that a launcher such as Ray Train has
            started in several processes; this function is then called in each of them.
        plugins: Plugins of Lightning that the strategy needs.

    Returns:
        The loss curve: the mean loss of every 50 steps.

    Raises:
        InputError: The machine lacks the device, the devices or the precision.
        DivergenceError: The loss is NaN or infinite.
        KeyboardInterrupt: The user interrupted the training; the next call resumes it.
    """
    machine = machine or MachineParams()
    training.is_compiled = machine.compile
    params, curve = training.params, LossCurve(folder / "loss.json", report)
    checkpoint, batches.first_step = find_checkpoint(folder / "checkpoint", report)
    save = ModelCheckpoint(
        folder / "checkpoint",
        filename=Path(LAST).stem,
        every_n_train_steps=machine.checkpoint_every,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    every: list[Callback] = [curve, save]
    if average is not None:
        every.append(EMAWeightAveraging(decay=average, use_buffers=True))
    options = {"strategy": strategy, "plugins": list(plugins)} if strategy else {}
    trainer = _trainer(params, machine, folder, [*every, *callbacks], **options)
    if used := list(loggers(batches.first_step)):
        trainer.loggers = used
        trainer.callbacks.append(LearningRateMonitor("step"))  # type: ignore[attr-defined]  # not in Lightning's types
    workers = machine.loader_workers
    if workers is None:
        workers = min(8, cpu_count()) if device_of(machine.device) == "cuda" else 0
    loader = DataLoader(batches, batch_size=None, num_workers=workers)
    training.network.to(memory_format=torch.channels_last)
    with _without_advice():
        try:
            trainer.fit(training, loader, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:
            # Lightning turns Ctrl-C into SystemExit and keeps its own handler installed.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from stop
    losses: list[float] = json.loads(curve.path.read_text(encoding="utf-8"))
    return losses


def check_training(params: TrainingParams, machine: MachineParams) -> None:
    """Raise if this machine cannot run a training, without training.

    Raises:
        InputError: The device, the number of devices or the precision is not available.
    """
    with tempfile.TemporaryDirectory(prefix="wsseg-trainer-") as folder:
        _trainer(params, machine, Path(folder), [])


@contextmanager
def _without_advice() -> Iterator[None]:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_ADVICE)
        yield


def _trainer(
    params: TrainingParams,
    machine: MachineParams,
    folder: Path,
    callbacks: Sequence[Callback],
    **options: Any,
) -> lightning.Trainer:
    nodes = machine.ray.nodes if machine.engine == "ray" else 1
    devices = machine.devices if isinstance(machine.devices, int) else 1
    if params.batch_size % (devices * nodes):
        rule, remedy = "a multiple of machine.devices x machine.ray.nodes", "correct one of them"
        raise InputError("trainer.batch_size", rule, params.batch_size, remedy)
    device = device_of(machine.device)
    parallel: dict[str, Any] = {"devices": machine.devices}
    if options:
        parallel = {"devices": "auto", **options}
    elif machine.devices != 1:
        # Lightning's own choice would run the whole pipeline once per device; spawning trains only.
        # Its own environment keeps it from taking the variables of a scheduler for its own.
        parallel |= {"strategy": "ddp_spawn", "plugins": [LightningEnvironment()]}
    plugins = [AtomicCheckpoints(), *parallel.pop("plugins", [])]
    automatic = "16-mixed" if device == "cuda" else "32-true"
    try:
        with _without_advice():
            return lightning.Trainer(
                accelerator=device,
                **parallel,
                plugins=plugins,
                precision=automatic if machine.precision == "auto" else machine.precision,  # type: ignore[arg-type]  # Lightning checks it
                max_steps=params.steps,
                gradient_clip_val=GRADIENT_CLIP,
                callbacks=list(callbacks),
                default_root_dir=folder,
                logger=False,  # set once the trainer is known to work
                log_every_n_steps=_LOG_EVERY,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
    except (ValueError, MisconfigurationException) as error:
        got = " ".join(str(error).split())
        hint = "correct machine.device, machine.devices or machine.precision"
        raise InputError(f"Lightning refuses the trainer: {got}", hint=hint) from error
