"""Map a function over images on a Ray cluster; images of a lost worker or node are tried again.

Every node needs the same version of wsseg, and the data set and the folder of the run under the
same paths, such as on NFS: images and labels are exchanged by files, only ids and statistics by
Ray.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import wsseg
from wsseg.errors import InputError
from wsseg.runs.config import Config

Item = TypeVar("Item")
T = TypeVar("T")

_QUEUED = 2  # images per core: one in progress, and one that waits
RETRIES = 5
"""Number of times that an image is tried again after its worker or node was lost."""

_TIMEOUT = 10  # seconds
_VARIABLES = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA", "NUMEXPR")},
    # Ray Train gives up after 30 s by default, less than importing torch takes on a busy machine.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    "RAY_TRAIN_V2_ENABLED": "1",
}


@dataclass(frozen=True)
class _Place:
    """The working folder of a command, and what every node must have.

    Args:
        folder: The working folder, to which paths are relative.
        needs: Folders of the run and its data.
        version: Version of wsseg.
    """

    folder: Path
    needs: tuple[Path, ...]
    version: str

    def enter(self) -> None:
        """Change to the working folder of the command.

        Raises:
            InputError: The node lacks a folder or has another version of wsseg.
        """
        node = f"node {os.uname().nodename}"
        if wsseg.__version__ != self.version:
            problem = f"{node} has wsseg {wsseg.__version__} instead of {self.version}"
            raise InputError(problem, hint="install the same version on every node")
        for path in (self.folder, *self.needs):
            if not path.exists():
                problem = f"{node} has no folder {path}"
                raise InputError(problem, hint="mount it under the same path on every node")
        os.chdir(self.folder)


def check_engine(config: Config) -> None:
    """Raise ``InputError`` if ``machine.engine`` is "ray" and Ray is not installed."""
    if config.machine.engine == "ray" and find_spec("ray") is None:
        raise InputError("machine.engine=ray needs the package ray", hint="install wsseg[ray]")


def map_on_cluster(
    work: Callable[[Item], T], samples: Sequence[Item], config: Config
) -> Iterator[T]:
    """Yield the result of a function for every sample, in no particular order.

    Args:
        work: Called once per sample, as a Ray task of one core; again if its worker or node is
            lost.

    Raises:
        InputError: Ray is missing or has no such cluster, a node lacks a folder or has another
            version of wsseg, or an image lost its worker more than ``RETRIES`` times.
    """
    ray = connect(config)
    resources = {"num_cpus": 1, "num_gpus": config.machine.ray.gpus, "max_retries": RETRIES}
    task = ray.remote(**resources)(_in_place)
    place = ray.put(place_of(config))
    shared, waiting, running = ray.put(work), iter(samples), set[Any]()
    try:
        while True:
            room = max(0, _max_running(ray, config) - len(running))
            running |= {task.remote(shared, sample, place) for sample in islice(waiting, room)}
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            running -= set(done)
            yield from (_result(ray, reference) for reference in done)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def place_of(config: Config) -> _Place:
    """Return where a command was started, for the nodes of the cluster."""
    needs = (config.run_dir.absolute(), config.data.root)
    return _Place(Path.cwd(), needs, wsseg.__version__)


def _in_place(work: Callable[[Item], T], sample: Item, place: _Place) -> T:
    place.enter()
    return work(sample)


def _max_running(ray: Any, config: Config) -> int:
    cores = int(ray.cluster_resources().get("CPU", 1))  # Nodes may join and leave.
    return config.machine.workers or max(1, _QUEUED * cores)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        problem = f"workers of the cluster were lost repeatedly ({type(error).__name__})"
        hint = "lower machine.workers or add memory, and run the same command again"
        raise InputError(problem, hint=hint) from error


def connect(config: Config) -> Any:
    """Return the module ``ray``, connected to the cluster of a run.

    Raises:
        InputError: Ray is missing or has no such cluster.
    """
    check_engine(config)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for name in ("RAY_TRAIN_V2_ENABLED", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"):
        os.environ.setdefault(name, _VARIABLES[name])
    ray: Any = import_module("ray")
    if ray.is_initialized():
        return ray
    own = {} if config.machine.ray.address else {"include_dashboard": False}
    try:
        _reach(config.machine.ray.address)
        ray.init(
            address=config.machine.ray.address or "local",
            runtime_env={"env_vars": {**_VARIABLES, "PYTHONPATH": os.pathsep.join(_own_modules())}},
            logging_level=logging.ERROR,
            log_to_driver=False,
            **own,
        )
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        _refuse(config.machine.ray.address, error)
    return ray


def _own_modules() -> list[str]:
    """Return the folders that this process imports from, except those of its environment."""
    installed = (Path(sys.prefix), Path(sys.base_prefix))
    return [p for p in sys.path if p and not any(Path(p).is_relative_to(i) for i in installed)]


def _reach(address: str | None) -> None:
    # Ray itself would try for ten minutes.
    host, _, port = (address or "").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_TIMEOUT).close()


def _refuse(address: str | None, error: Exception) -> NoReturn:
    reason = " ".join(str(error).split()) or type(error).__name__
    hint = "start it with `ray start --head`, or set machine.ray.address=null"
    problem = f"no cluster answers at machine.ray.address={address}: {reason}"
    raise InputError(problem, hint=hint) from error
