"""Training the segmenter on label maps, as a stage of a run."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.progress import Progress
from torch import nn

from wsseg.data.classes import candidate_classes
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.files import fingerprint
from wsseg.labelmaps import IGNORE
from wsseg.networks.batches import Steps
from wsseg.networks.checkpoints import save_network
from wsseg.networks.losses.registry import WeightedLosses
from wsseg.networks.prediction import Segmenter, load_segmenter
from wsseg.networks.segmenter import build_network
from wsseg.networks.train import TrainingModule, fit
from wsseg.networks.training_data import TrainingBatches, TrainingPair
from wsseg.runs.config import Config
from wsseg.runs.distributed import fit_on_cluster
from wsseg.runs.labelling import label_path, usable_samples
from wsseg.runs.loggers import on_disk, training_loggers
from wsseg.runs.progress import log, progress_bar
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.runs.stats import read_stats


def training_stage(
    run: Run, name: str, classes: Classes, start: Stage | None = None, **inputs: Any
) -> Stage:
    """Return the stage of a training, complete or not.

    Args:
        run: The run; ``config.model`` and ``config.trainer`` say how.
        name: Such as "round-1/model".
        classes: Of the data set.
        start: A stage with the network to go on from; None begins with the encoder's weights.
        **inputs: What it learns from.

    Returns:
        The stage; its key holds all of this.
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
) -> Stage:
    """Train a network on images and their label maps, where its stage is not complete.

    Args:
        stage: Of ``training_stage``.
        pairs: Returns what to train on.
        classes: Of the data set.
        config: Its ``model``, ``trainer`` and ``seed``.
        start: A stage with the network to go on from.
        callbacks: Lightning's or one's own, beside those of every training.

    Returns:
        The stage, complete; its folder holds ``model.ckpt``.

    Raises:
        InputError: Settings of the network or the trainer break a rule, or there is no pair.
        DivergenceError: The loss is NaN or infinite.
    """

    def train() -> dict[str, Any]:
        chosen = pairs()
        training = supervised(first_network(config, classes, start), config)
        batches = TrainingBatches(chosen, config.model, config.trainer, seed=config.seed)
        loss = fit_in_stage(
            stage, training, batches, config, callbacks, average=config.trainer.average
        )
        save_network(
            stage.path / "model.ckpt", "segmenter", training.network, config.model, classes
        )
        return {"loss": loss}

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
        stage: Its folder gets ``loss.json`` and the checkpoints that an interrupted training
            continues from.
        training: The network with its loss and optimiser; its weights are changed.
        batches: The batch of each step.
        config: Its ``machine`` says where to train; it also names the loggers.
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
            report=partial(_report, stage.name),
        )


def _report(name: str, message: str) -> None:
    log(f"{name}: {message}")


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
    """Return the training of a network on label maps.

    Args:
        network: Is trained in place.
        config: Its ``model``, ``trainer`` and ``seed``.

    Returns:
        What ``fit`` takes.
    """
    return TrainingModule(
        network,
        config.trainer,
        WeightedLosses(config.trainer, config.model),
        seed=config.seed,
        freeze_batch_norm=config.model.freeze_batch_norm,
    )


def first_network(config: Config, classes: Classes, start: Stage | None) -> nn.Module:
    """Return the network that a training begins with.

    Args:
        config: Its ``model`` and ``seed``.
        classes: Of the data set.
        start: A stage whose network is taken; None initialises one.

    Returns:
        The network.

    Raises:
        InputError: It cannot be built, or ``start`` has another network.
    """
    lightning.seed_everything(config.seed, verbose=False)
    network = build_network(config.model, len(classes))
    if start is not None:
        known = segmenter_of(start)
        try:
            network.load_state_dict(known.network.state_dict())
        except RuntimeError as error:
            got = f"{known.params.architecture} on {known.params.encoder}"
            remedy = "take the same model settings, or restart"
            rule = f"the network of {start.path}"
            raise InputError("model", rule, got, remedy) from error
    return network


def labelled_pairs(
    labels: Stage, classes: Classes, samples: Iterable[Sample]
) -> list[TrainingPair]:
    """Return images and their label maps; those of nothing but IGNORE are left out.

    Args:
        labels: A complete stage of label maps.
        classes: Of the data set.
        samples: The images.

    Returns:
        What to train on.

    Raises:
        InputError: Every pixel of every label map is IGNORE.
    """
    table = read_stats(labels.path).to_pandas()
    known = table[(table["class"] != IGNORE) & (table["pixels"] > 0)]
    taught = known.groupby("id")["class"].agg(set).to_dict()
    if not taught:
        rule, remedy = "labelled in some pixel", "correct the annotations or choose another seed"
        raise InputError(f"label maps of stage {labels.name}", rule, "only IGNORE", remedy)
    n_classes = len(classes)
    return [
        TrainingPair(
            sample.image,
            label_path(labels, sample),
            _possible(sample, n_classes, taught[sample.id]),
        )
        for sample in usable_samples(labels, samples)
        if sample.id in taught
    ]


def segmenter_of(model: Stage, device: str = "auto") -> Segmenter:
    """Return the network of a complete training stage, kept loaded.

    Args:
        model: A stage of ``train_on_pairs``.
        device: "cpu" keeps it off the GPU.

    Returns:
        The segmenter, in eval mode.
    """
    return model.load(_segmenter, device)


def _segmenter(folder: Path, device: str) -> Segmenter:
    return load_segmenter(folder / "model.ckpt", device)


def _possible(sample: Sample, n_classes: int, seen: set[int]) -> tuple[bool, ...]:
    possible = {*candidate_classes(sample, n_classes), *seen}
    return tuple(label in possible for label in range(n_classes))
