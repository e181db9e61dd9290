"""Training of the segmenter on label maps, as a stage of a run."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from rich.progress import Progress
from torch import nn

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.files import fingerprint
from wsseg.networks.batches import Steps
from wsseg.networks.checkpoints import save_network
from wsseg.networks.losses.registry import WeightedLosses
from wsseg.networks.params import PredictionParams
from wsseg.networks.prediction import Segmenter, load_segmenter
from wsseg.networks.segmenter import build_network
from wsseg.networks.train import TrainingModule, fit
from wsseg.networks.training_data import TrainingBatches, TrainingPair
from wsseg.runs.config import Config
from wsseg.runs.distributed import fit_on_cluster
from wsseg.runs.loggers import on_disk, training_loggers
from wsseg.runs.progress import log, progress_bar
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage


def training_stage(
    run: Run, name: str, classes: Classes, start: Stage | None = None, **inputs: Any
) -> Stage:
    """Return the stage of a training, complete or not.

    Args:
        name: Name of the stage, such as "round-1/model".
        start: A stage with the network to start from; None starts from the encoder's weights.
        **inputs: Everything else that the result depends on, such as the stage of the labels.
    """
    config = run.config
    return run.stage(
        name,
        **inputs,
        start=start,
        model=config.model,
        classes=list(classes),
        weights=fingerprint(Path(config.model.weights or "")),
        trainer=config.trainer,
        machine=config.machine.numerics,
        seed=config.seed,
    )


def train_on_pairs(
    stage: Stage,
    pairs: Callable[[], Sequence[TrainingPair]],
    classes: Classes,
    config: Config,
    start: Stage | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    held_out: Sequence[str] = (),
) -> Stage:
    """Train a network on images and their label maps, unless the stage is complete.

    Args:
        stage: A stage of ``training_stage``.
        pairs: Returns the images and label maps; called only if the stage is not complete.
        start: A stage with the network to start from.
        callbacks: Callbacks of Lightning, in addition to those of every training.
        held_out: Ids of images that a cross-fitted network is not trained on, for the manifest.

    Returns:
        The complete stage with ``model.ckpt``.

    Raises:
        InputError: Settings of the network or the trainer break a rule, or there is no pair.
        DivergenceError: The loss is NaN or infinite.
    """

    def train() -> dict[str, Any]:
        examples = pairs()
        training = supervised(first_network(config, classes, start), config)
        batches = TrainingBatches(examples, config.model, config.trainer, seed=config.seed)
        loss = fit_in_stage(
            stage, training, batches, config, callbacks, average=config.trainer.average
        )
        path, reading = stage.path / "model.ckpt", config.data.reading
        save_network(path, "segmenter", training.network, config.model, classes, reading=reading)
        return {"loss": loss, **({"held_out": list(held_out)} if held_out else {})}

    return stage.run(train)


def fit_in_stage(
    stage: Stage,
    training: TrainingModule,
    batches: Steps,
    config: Config,
    callbacks: Sequence[Callback] = (),
    *,
    average: float | None = None,
) -> list[float]:
    """Train a network in place with ``fit``, for a stage of a run.

    This adds a progress bar and the configured loggers. With ``machine.engine: ray`` and several
    nodes the training runs on the cluster.

    Args:
        stage: Stage whose folder gets ``loss.json`` and the checkpoints that an interrupted
            training continues from.
        training: The network with its loss and optimiser; its weights are changed.
        batches: The batch of each step.
        config: Settings; ``machine`` says where to train, ``loggers`` who receives the curves.
        callbacks: Further callbacks of Lightning.
        average: Decay per step of an exponential moving average of the weights that becomes the
            result, or None.

    Returns:
        The loss curve: the mean loss of every 50 steps.

    Raises:
        InputError: The machine or the cluster lacks what ``config.machine`` asks for.
        DivergenceError: The loss is NaN or infinite.
        OSError: The disk is full.
        KeyboardInterrupt: The user interrupted the training; the next call resumes it.
    """
    machine, loggers = config.machine, partial(training_loggers, stage, config)
    with on_disk(stage.path):
        if machine.engine == "ray" and machine.ray.nodes > 1:
            return fit_on_cluster(
                training, batches, stage.path, callbacks, config, loggers, average
            )
        return fit(
            training,
            batches,
            stage.path,
            [TrainingProgress(stage.name), *callbacks],
            machine=machine,
            average=average,
            loggers=loggers,
            report=lambda message: log(f"{stage.name}: {message}"),
        )


class TrainingProgress(Callback):
    """Show the progress bar of a training."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._bar: Progress | None = None

    def on_train_start(self, trainer: Any, _: Any) -> None:
        """Open the progress bar."""
        self._bar = progress_bar()
        self._bar.start()
        steps, done = trainer.max_steps, trainer.global_step
        self._task = self._bar.add_task(self.title, total=steps, completed=done, note="")

    def on_train_batch_end(self, trainer: Any, _: Any, outputs: Any, *__: Any) -> None:
        """Advance the progress bar."""
        if self._bar:
            note = f"loss {float(outputs['loss']):.3f}"
            self._bar.update(self._task, completed=trainer.global_step, note=note)

    def on_fit_end(self, *_: Any) -> None:
        """Close the progress bar."""
        if self._bar:
            self._bar.stop()

    def on_exception(self, *_: Any) -> None:
        """Close the progress bar."""
        self.on_fit_end()


def supervised(network: nn.Module, config: Config) -> TrainingModule:
    """Return the training of a network on label maps; it changes the network in place."""
    return TrainingModule(
        network,
        config.trainer,
        WeightedLosses(config.trainer, config.model),
        seed=config.seed,
        freeze_batch_norm=config.model.freeze_batch_norm,
    )


def first_network(config: Config, classes: Classes, start: Stage | None) -> nn.Module:
    """Return the network that a training starts from.

    Args:
        start: A stage whose trained weights are copied; None uses the initial ones.

    Raises:
        InputError: The network cannot be built, or that of ``start`` is another one.
    """
    lightning.seed_everything(config.seed, verbose=False)
    network = build_network(config.model, len(classes))
    if start is not None:
        trained = segmenter_of(start)
        try:
            network.load_state_dict(trained.network.state_dict())
        except RuntimeError as error:
            other = f"{trained.params.architecture} on {trained.params.encoder}"
            problem = f"`model` differs from the network of {start.path}, {other}"
            raise InputError(problem, hint="use the same settings of `model`") from error
    return network


def segmenter_of(model: Stage, device: str = "auto") -> Segmenter:
    """Return the trained network of a stage of ``train_on_pairs``, which stays in memory."""
    return model.load(_load, device)


Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Returns the class probabilities (K, H, W) of an image (H, W, 3); picklable."""


def predictor_of(model: Stage, config: Config) -> Predict:
    """Return a function that predicts images with the network of a training stage."""
    return partial(_predict, model=model, device=config.machine.device, params=config.prediction)


def _predict(
    image: NDArray[np.uint8], model: Stage, device: str, params: PredictionParams
) -> NDArray[np.float32]:
    return segmenter_of(model, device).predict(image, params)


def _load(folder: Path, device: str) -> Segmenter:
    return load_segmenter(folder / "model.ckpt", device)
