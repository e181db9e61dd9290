"""A function mapped over images on a Ray cluster; a lost worker or node costs its images in flight.

Every node needs wsseg of the same version, and sees the data set and the run's folder under the
same paths, such as on NFS: images and labels travel by the disk, only ids and statistics by Ray.
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

_QUEUED = 2  # images a core: one at work, one that is there when it ends
RETRIES = 5
"""How often an image is tried again when its worker or node is lost."""

_PATIENCE = 10  # seconds
_VARIABLES = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA", "NUMEXPR")},
    # Ray Train gives up after 30 s by default, less than importing torch takes on a busy machine.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    "RAY_TRAIN_V2_ENABLED": "1",
}


@dataclass(frozen=True)
class _Place:
    """Where the command was given, and what its nodes must see there.

    Args:
        folder: What relative paths start from.
        needs: Folders of the run and its data.
        version: Of wsseg.
    """

    folder: Path
    needs: tuple[Path, ...]
    version: str

    def enter(self) -> None:
        """Let relative paths mean the same as where the command was given.

        Raises:
            InputError: The node lacks a folder or has another version of wsseg.
        """
        node, remedy = f"node {os.uname().nodename}", "mount it under the same path on every node"
        if wsseg.__version__ != self.version:
            remedy = "install the same on every node"
            raise InputError(node, f"one with wsseg {self.version}", wsseg.__version__, remedy)
        for path in (self.folder, *self.needs):
            if not path.exists():
                raise InputError(node, f"one that sees {path}", "no such folder", remedy)
        os.chdir(self.folder)


def check_engine(config: Config) -> None:
    """Refuse a cluster that cannot work, before any work is done.

    Args:
        config: Its ``machine.engine``.

    Raises:
        InputError: Ray is not installed.
    """
    if config.machine.engine == "ray" and find_spec("ray") is None:
        raise InputError("machine.engine", "of an installed package", "ray", "install wsseg[ray]")


def map_on_cluster(
    work: Callable[[Item], T], samples: Sequence[Item], config: Config
) -> Iterator[T]:
    """Yield what some work returns for every sample, in no particular order.

    Args:
        work: Called once a sample, as a Ray task of one core; again where its worker or node is
            lost.
        samples: The images.
        config: Its ``machine`` names the cluster and the largest number of images in progress.

    Yields:
        Results.

    Raises:
        InputError: Ray is missing or has no such cluster, a node lacks what it needs, an image
            lost its worker more than ``RETRIES`` times, or what the work itself raises.
    """
    ray = connect(config)
    resources = {"num_cpus": 1, "num_gpus": config.machine.ray.gpus, "max_retries": RETRIES}
    task = ray.remote(**resources)(_in_place)
    place = ray.put(place_of(config))
    shared, left, running = ray.put(work), iter(samples), set[Any]()
    try:
        while True:
            room = _at_a_time(ray, config) - len(running)
            running |= {task.remote(shared, sample, place) for sample in islice(left, max(room, 0))}
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


def _at_a_time(ray: Any, config: Config) -> int:
    """Nodes may come and go."""
    if config.machine.workers:
        return config.machine.workers
    return max(1, _QUEUED * int(ray.cluster_resources().get("CPU", 1)))


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        got = f"one that was lost again and again ({type(error).__name__})"
        remedy = "lower machine.workers or add memory, and run the same command again"
        raise InputError("a worker of the cluster", "alive", got, remedy) from error


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
    """Where this process imports from besides its environment, such as the folder of a script."""
    places = (Path(sys.prefix), Path(sys.base_prefix))
    return [p for p in sys.path if p and not any(Path(p).is_relative_to(place) for place in places)]


def _reach(address: str | None) -> None:
    """Ray itself would try for ten minutes."""
    host, _, port = (address or "").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()


def _refuse(address: str | None, error: Exception) -> NoReturn:
    got = " ".join(str(error).split()) or type(error).__name__
    remedy = "start it with `ray start --head`, or set machine.ray.address=null"
    raise InputError(
        f"machine.ray.address {address}", "a cluster that runs", got, remedy
    ) from error
