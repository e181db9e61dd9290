"""Train one network on several machines of a Ray cluster, with Ray Train.

Every machine sees the data set and the folder of the run under the same paths, as for the label
stages. The workers share each batch (DDP). If one is lost, Ray Train starts all of them again, and
the training resumes from its last checkpoint in the folder of the stage.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from wsseg.errors import DivergenceError, InputError
from wsseg.networks.batches import Steps
from wsseg.networks.checkpoints import read_checkpoint, write_checkpoint
from wsseg.networks.params import MachineParams
from wsseg.networks.train import TrainingModule, fit
from wsseg.networks.weights import device_of
from wsseg.runs.cluster import RETRIES, connect, place_of
from wsseg.runs.config import Config

_TRAINED = "trained.ckpt"  # the weights on their way from the first worker


@dataclass(frozen=True)
class _Job:
    """The input of each worker."""

    training: TrainingModule
    batches: Steps
    folder: Path
    callbacks: Sequence[Callback]
    machine: MachineParams
    average: float | None
    loggers: Callable[[int], Sequence[Logger]]
    place: Any


def fit_on_cluster(  # noqa: PLR0917 - the arguments of fit
    training: TrainingModule,
    batches: Steps,
    folder: Path,
    callbacks: Sequence[Callback],
    config: Config,
    loggers: Callable[[int], Sequence[Logger]],
    average: float | None = None,
) -> list[float]:
    """Call ``fit`` on ``machine.ray.nodes`` machines of the cluster together.

    Args:
        training: Receives the trained weights.
        folder: Folder of the stage, which all machines must see.

    Returns:
        The loss curve.

    Raises:
        InputError: The cluster is missing, or workers are lost repeatedly.
        DivergenceError: The loss is NaN or infinite.
    """
    connect(config)
    train, torch = import_module("ray.train"), import_module("ray.train.torch")
    machine, folder = config.machine, folder.absolute()
    on_gpu = device_of(machine.device) == "cuda"
    devices = machine.devices if isinstance(machine.devices, int) else 1
    job = _Job(training, batches, folder, callbacks, machine, average, loggers, place_of(config))
    trainer = torch.TorchTrainer(
        _work,
        train_loop_config={"job": job},
        torch_config=torch.TorchConfig(backend="nccl" if on_gpu else "gloo"),
        scaling_config=train.ScalingConfig(
            num_workers=machine.ray.nodes * devices, use_gpu=on_gpu, placement_strategy="SPREAD"
        ),
        run_config=train.RunConfig(
            name="training",
            storage_path=str(folder / "ray"),
            failure_config=train.FailureConfig(max_failures=RETRIES),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:  # Ray Train has a class of errors for each way to fail.
        raise _own_error(error) from error
    finally:
        shutil.rmtree(folder / "ray", ignore_errors=True)
    trained = read_checkpoint(folder / _TRAINED)
    training.load_state_dict(trained["state_dict"])
    (folder / _TRAINED).unlink()
    for callback, state in zip(callbacks, trained["callbacks"], strict=True):
        callback.load_state_dict(state)
    losses: list[float] = trained["loss"]
    return losses


def _work(arguments: dict[str, Any]) -> None:
    """Train in a worker; the first one writes the weights."""
    job: _Job = arguments["job"]
    job.place.enter()
    train, adapters = import_module("ray.train"), import_module("ray.train.lightning")
    is_first = train.get_context().get_world_rank() == 0
    loss = fit(
        job.training,
        job.batches,
        job.folder,
        job.callbacks,
        machine=job.machine,
        average=job.average,
        loggers=job.loggers if is_first else lambda _: (),
        strategy=adapters.RayDDPStrategy(),
        plugins=[adapters.RayLightningEnvironment()],
    )
    if is_first:
        states = [callback.state_dict() for callback in job.callbacks]
        content = {"state_dict": job.training.state_dict(), "callbacks": states, "loss": loss}
        write_checkpoint(job.folder / _TRAINED, content)


def _own_error(error: BaseException) -> Exception:
    """Return the error of wsseg behind one of Ray Train."""
    causes = [error, *getattr(error, "worker_failures", {}).values()]
    for cause in causes:
        at: BaseException | None = cause
        while at is not None:
            inner = getattr(at, "cause", None) or at.__cause__
            if isinstance(at, InputError | DivergenceError):
                return at
            at = inner if inner is not at else None
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    hint = "check the cluster, and run the same command again"
    return InputError(f"the training on the cluster failed: {reason}", hint=hint)
