"""Curves of trainings, and figures of rounds, in TensorBoard and MLflow.

What a training logs belongs to its stage, in whose folder it is kept: ``tensorboard/`` holds the
events, ``mlflow.json`` says which MLflow run it is. So a resumed training goes on with its curve,
and one with another key, for which the folder is emptied, starts a curve of its own.
"""

import errno
import logging
import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger

from wsseg.errors import InputError
from wsseg.files import PARTIAL, read_record, write_json
from wsseg.runs.config import Config
from wsseg.runs.stage import Stage

_PACKAGES = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}
_ADDRESS = "MLFLOW_TRACKING_URI"
_SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}


class _Series(NamedTuple):
    """Curves that belong together.

    Attributes:
        run: The run's folder.
        name: Of a folder in it, and of the curves.
        first_step: Where they go on; what was logged from there on before is hidden (TensorBoard)
            or stays beside what comes (MLflow).
    """

    run: Path
    name: str
    first_step: int = 0


def check_loggers(names: Sequence[str]) -> None:
    """Refuse loggers that cannot work here, before any work is done.

    Args:
        names: Of ``config.loggers``.

    Raises:
        InputError: A package is missing.
    """
    for name in names:
        missing = [package for package in _PACKAGES[name] if find_spec(package) is None]
        if missing:
            got, remedy = f"{name} without {missing[0]}", f"install wsseg[{name}]"
            raise InputError("loggers", "of installed packages", got, remedy)


def training_loggers(stage: Stage, config: Config, first_step: int) -> list[Logger]:
    """Return what logs a training, under the name of its stage.

    Args:
        stage: At work, in the folder ``config.run_dir``.
        config: Its ``loggers``.
        first_step: Steps that are done already.

    Returns:
        Lightning's loggers. MLflow's store is that of the environment's ``MLFLOW_TRACKING_URI``,
        else ``mlflow.db`` in the run's folder; its experiment has the name of this folder.

    Raises:
        InputError: A package is missing, or the store cannot be used.
    """
    return _opened(config.loggers, _Series(config.run_dir, stage.name, first_step))


def log_figures(
    run: Path, names: Sequence[str], figures: Mapping[str, Mapping[str, float | None]]
) -> None:
    """Log figures of stages as curves with the name "report", in place of those before.

    Args:
        run: The run's folder.
        names: Of ``config.loggers``.
        figures: By stage, in order; the first has step 0. None, NaN and infinity are left out.

    Raises:
        InputError: A package is missing, or the store cannot be used.
    """
    with on_disk(run):
        for logger in _opened(names, _Series(run, "report")):
            for step, found in enumerate(figures.values()):
                known = {key: value for key, value in found.items() if value is not None}
                logger.log_metrics({k: v for k, v in known.items() if math.isfinite(v)}, step)
            logger.finalize("success")


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """Make one error of all those by which loggers say that the disk is full.

    Args:
        folder: Named in it where the error names no file.

    Yields:
        Nothing.

    Raises:
        OSError: The disk is full.
    """
    try:
        yield
    except Exception as error:
        if _tells_no_file(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise


def _tells_no_file(error: BaseException | None) -> bool:
    """Whether the disk was full, said by TensorBoard, or by SQLite somewhere below MLflow."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC and not error.filename
    if isinstance(error, sqlite3.Error):
        return error.sqlite_errorcode == sqlite3.SQLITE_FULL
    return error is not None and _tells_no_file(error.__cause__ or error.__context__)


def _opened(names: Sequence[str], series: _Series) -> list[Logger]:
    check_loggers(names)
    return [_LOGGERS[name](series) for name in names]


def _tensorboard(series: _Series) -> Logger:
    return TensorBoardLogger(
        series.run / series.name,
        name="",
        version="tensorboard",
        default_hp_metric=False,
        purge_step=series.first_step,
    )


def _mlflow(series: _Series) -> Logger:
    for variable, value in _SILENT.items():
        os.environ.setdefault(variable, value)
    logging.getLogger("lightning.pytorch.loggers.mlflow").setLevel(logging.ERROR)
    mlflow, given = import_module("mlflow"), os.environ.get(_ADDRESS)
    try:
        address = given or _own_store(mlflow, series.run.resolve() / "mlflow.db")
        return _mlflow_run(mlflow, address, series)
    except mlflow.MlflowException as error:
        rule, remedy = "the address of an MLflow store", "correct it, or start its server"
        raise InputError(_ADDRESS, rule, (given or "").rpartition("@")[2], remedy) from error
    finally:
        if not given:  # Lightning sets it, but the next run has a store of its own
            os.environ.pop(_ADDRESS, None)


def _own_store(mlflow: Any, path: Path) -> str:
    """The address of the run's store, which is made beside its place: MLflow takes many steps."""
    if not path.exists():
        for cut_off in path.parent.glob(f"{PARTIAL}{path.name}*"):
            cut_off.unlink()
        partial = path.with_name(f"{PARTIAL}{path.name}")
        mlflow.MlflowClient(f"sqlite:///{partial}")
        partial.replace(path)
    return f"sqlite:///{path}"


def _mlflow_run(mlflow: Any, address: str, series: _Series) -> Logger:
    record = series.run / series.name / "mlflow.json"
    before = read_record(record).get("run_id")
    logger = MLFlowLogger(
        series.run.resolve().name,
        series.name,
        address,
        run_id=_continued(mlflow, address, before, series.first_step) if before else None,
    )
    write_json(record, {"run_id": logger.run_id})
    return logger


def _continued(mlflow: Any, address: str, run_id: str, first_step: int) -> str | None:
    """The MLflow run to go on with; None where it is gone, or where nothing of it remains."""
    client = mlflow.MlflowClient(address)
    try:
        if first_step:
            client.update_run(run_id, "RUNNING")
            return run_id
        client.delete_run(run_id)
    except mlflow.MlflowException:  # its store was removed, or is another now
        pass
    return None


_LOGGERS: dict[str, Callable[[_Series], Logger]] = {"tensorboard": _tensorboard, "mlflow": _mlflow}
