"""Training a network with Lightning: resumable, and the same after a resume."""

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
from wsseg.networks.batches import Steps
from wsseg.networks.checkpoints import LAST, AtomicCheckpoints, whole_checkpoint
from wsseg.networks.loggers import on_disk
from wsseg.networks.objective import Objective
from wsseg.networks.params import TrainingParams
from wsseg.networks.training_progress import TrainingWatch
from wsseg.networks.weights import parameter_groups

_WARM_UP = 0.05  # share of the steps in which the learning rate rises
_LOG_EVERY = 10  # steps
_ADVICE = (
    ".*does not have many workers.*",
    ".*exists and is not empty.*",
    ".*mid-epoch.*",
    ".*LeafSpec.*",
    ".*in eval mode at the start of training.*",
)


class NetworkTraining(lightning.LightningModule):
    """One network, its objective and its optimizer: AdamW with a one-cycle schedule.

    Args:
        network: Has a submodule ``encoder``, which has a learning rate of its own.
        settings: Learning rates, steps.
        objective: What is minimised.
        seed: Of dropout, which depends on seed and step only.
        freeze_batch_norm: Keep the encoder's normalisation statistics as they are.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: TrainingParams,
        objective: Objective,
        *,
        seed: int,
        freeze_batch_norm: bool,
    ) -> None:
        super().__init__()
        self.network, self.settings, self.seed = network, settings, seed
        self.freeze_batch_norm = freeze_batch_norm
        self.objective = objective

    @property
    def result(self) -> nn.Module:
        """The network that the training is for."""
        return self.network

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's
        """Compile the network in each process that trains it, where the settings say so."""
        if self.settings.compile:
            self.network.compile()

    def on_train_batch_start(self, batch: Any, *_: Any) -> None:
        """Make dropout depend on the step, and hold the encoder's batch norm still.

        Args:
            batch: Of the step.

        Raises:
            InputError: A loading process could not make it.
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

        Args:
            batch: What ``loss_of`` takes.

        Returns:
            Scalar.

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
        """Return the loss of a batch, finite or not.

        Args:
            batch: Images (B, 3, h, w) and the targets that the objective takes.

        Returns:
            Scalar.
        """
        images, targets = batch
        images = images.contiguous(memory_format=torch.channels_last)
        progress = self.global_step / self.settings.steps
        return self.objective(self.network, images, targets, progress)

    def trained(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return what trains: parameters of the encoder, and all others."""
        return parameter_groups(self.network)

    def configure_optimizers(self) -> Any:
        """Return AdamW with a learning rate each for encoder and decoder, and its schedule."""
        rates = [self.settings.encoder_lr, self.settings.decoder_lr]
        groups = zip(("encoder", "decoder"), self.trained(), rates, strict=True)
        optimizer = torch.optim.AdamW(
            [{"name": name, "params": params, "lr": rate} for name, params, rate in groups],
            weight_decay=self.settings.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rates, total_steps=self.settings.steps + 1, pct_start=_WARM_UP
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def fit(
    training: NetworkTraining,
    batches: Steps,
    folder: Path,
    title: str,
    callbacks: Sequence[Callback] = (),
    *,
    loggers: Callable[[int], Sequence[Logger]] = lambda _: (),
) -> list[float]:
    """Train a network in place, resuming from the folder's last checkpoint where there is one.

    Args:
        training: The network and its settings.
        batches: What to train on.
        folder: Gets ``checkpoint/`` with the last two while training; remove it once the network
            is saved.
        title: Shown beside the progress.
        callbacks: Lightning's or one's own, beside those of every training.
        loggers: Given the steps that are done already, returns what the curves of loss and
            learning rates go to besides.

    Returns:
        The loss curve, one mean for every 50 steps; also in ``loss.json``.

    Raises:
        DivergenceError: The loss is NaN or infinite.
        KeyboardInterrupt: The user interrupted it; the next call goes on.
    """
    settings, checkpoints, curve = training.settings, folder / "checkpoint", folder / "loss.json"
    watch = TrainingWatch(title, curve)
    kept = [watch, _checkpoints(checkpoints, settings), *_average(settings), *callbacks]
    trainer = _trainer(settings, folder, kept)
    last, batches.first_step = whole_checkpoint(checkpoints, title)
    with on_disk(folder):
        _log(trainer, loggers(batches.first_step))
    loader = DataLoader(batches, batch_size=None, num_workers=settings.loader_workers)
    training.network.to(memory_format=torch.channels_last)
    with _quiet(), on_disk(folder):
        _fitted(trainer, training, loader, last)
    losses: list[float] = json.loads(curve.read_text(encoding="utf-8"))
    return losses


def check_trainer(settings: TrainingParams) -> None:
    """Refuse a trainer that this machine cannot have, without training.

    Args:
        settings: Accelerator, devices, precision, batch size.

    Raises:
        InputError: There is no such accelerator, fewer devices, or another precision only.
    """
    with tempfile.TemporaryDirectory(prefix="wsseg-trainer-") as folder:
        _trainer(settings, Path(folder), [])


def _fitted(
    trainer: lightning.Trainer,
    training: NetworkTraining,
    loader: DataLoader[tuple[Any, Any]],
    last: Path | None,
) -> None:
    try:
        trainer.fit(training, loader, ckpt_path=last, weights_only=True)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C, whose handler it takes away
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from stop


def _log(trainer: lightning.Trainer, loggers: Sequence[Logger]) -> None:
    if loggers:
        trainer.loggers = list(loggers)
        trainer.callbacks.append(LearningRateMonitor("step"))  # type: ignore[attr-defined]  # not in Lightning's types


def _average(settings: TrainingParams) -> list[Callback]:
    if settings.average is None:
        return []
    return [EMAWeightAveraging(decay=settings.average, use_buffers=True)]


def _checkpoints(folder: Path, settings: TrainingParams) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder,
        filename=Path(LAST).stem,
        every_n_train_steps=settings.checkpoint_every,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on settings that are chosen here on purpose off the screen."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for advice in _ADVICE:
            warnings.filterwarnings("ignore", message=advice)
        yield


def _trainer(
    settings: TrainingParams, folder: Path, callbacks: Sequence[Callback]
) -> lightning.Trainer:
    devices = settings.devices if isinstance(settings.devices, int) else 1
    if settings.batch_size % (devices * settings.num_nodes):
        rule, remedy = "a multiple of trainer.devices x num_nodes", "correct one of them"
        raise InputError("trainer.batch_size", rule, settings.batch_size, remedy)
    try:
        with _quiet():
            return _built(settings, folder, callbacks)
    except (ValueError, MisconfigurationException) as error:
        got, remedy = " ".join(str(error).split()), "correct accelerator, devices or precision"
        raise InputError("trainer", "settings that Lightning knows", got, remedy) from error


def _built(
    settings: TrainingParams, folder: Path, callbacks: Sequence[Callback]
) -> lightning.Trainer:
    on_gpu = torch.cuda.is_available() and settings.accelerator != "cpu"
    automatic = "16-mixed" if on_gpu else "32-true"
    alone = settings.devices == 1 and settings.num_nodes == 1
    return lightning.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        # Lightning's own choice would run the whole pipeline once a device; spawning trains only.
        strategy="auto" if alone else "ddp_spawn",
        precision=automatic if settings.precision == "auto" else settings.precision,  # type: ignore[arg-type]  # checked by Lightning, not by us
        max_steps=settings.steps,
        gradient_clip_val=settings.gradient_clip,
        callbacks=list(callbacks),
        # NODE_RANK and MASTER_ADDR say what Lightning would take from a scheduler's variables
        plugins=[AtomicCheckpoints(), *([] if alone else [LightningEnvironment()])],
        default_root_dir=folder,
        logger=False,  # until all is known to be right
        log_every_n_steps=_LOG_EVERY,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
