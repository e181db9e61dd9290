"""Curves of trainings, and figures of rounds, in TensorBoard and MLflow.

The folder of the stage of a training holds ``tensorboard/``, the events, and ``mlflow.json``, the
id of its MLflow run. A resumed training therefore continues its curve; a training with another key,
for which the folder is emptied, starts a new one.
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
    """The curves of one training or report.

    Attributes:
        run: Folder of the run.
        name: Name of the curves and of a folder in ``run``.
        first_step: Step from which the curves continue; what was logged for later steps is hidden
            by TensorBoard and kept by MLflow.
    """

    run: Path
    name: str
    first_step: int = 0


def check_loggers(names: Sequence[str]) -> None:
    """Raise ``InputError`` if the package of a logger is not installed."""
    for name in names:
        missing = [package for package in _PACKAGES[name] if find_spec(package) is None]
        if missing:
            got, remedy = f"{name} without {missing[0]}", f"install wsseg[{name}]"
            raise InputError("loggers", "of installed packages", got, remedy)


def training_loggers(stage: Stage, config: Config, first_step: int) -> list[Logger]:
    """Return the loggers of ``config.loggers`` for the training of a stage.

    The store of MLflow is that of the environment variable ``MLFLOW_TRACKING_URI``, by default
    ``mlflow.db`` in the folder of the run; the experiment has the name of this folder.

    Args:
        first_step: Number of steps that are done already.

    Raises:
        InputError: A package is missing, or the store cannot be used.
    """
    return _opened(config.loggers, _Series(config.run_dir, stage.name, first_step))


def log_figures(
    run: Path, names: Sequence[str], figures: Mapping[str, Mapping[str, float | None]]
) -> None:
    """Replace the curves with the name "report" by figures of stages.

    Args:
        figures: Figures of each stage in order; the first stage is step 0. None, NaN and infinite
            values are left out.

    Raises:
        InputError: A package is missing, or the store cannot be used.
    """
    with on_disk(run):
        for logger in _opened(names, _Series(run, "report")):
            for step, values in enumerate(figures.values()):
                known = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
                logger.log_metrics(known, step)
            logger.finalize("success")


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """Raise an ``OSError`` that names a folder if a logger reports in its own way a full disk."""
    try:
        yield
    except Exception as error:
        if _is_full_disk(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise


def _is_full_disk(error: BaseException | None) -> bool:
    """Return whether TensorBoard, or SQLite below MLflow, reported a full disk without a file."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC and not error.filename
    if isinstance(error, sqlite3.Error):
        return error.sqlite_errorcode == sqlite3.SQLITE_FULL
    return error is not None and _is_full_disk(error.__cause__ or error.__context__)


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
        if not given:  # Lightning sets the variable, but the next run has another store.
            os.environ.pop(_ADDRESS, None)


def _own_store(mlflow: Any, path: Path) -> str:
    """Return the address of the store of a run, which is created under another name first.

    MLflow creates it in many steps, and an interrupted store could not be used.
    """
    if not path.exists():
        for interrupted in path.parent.glob(f"{PARTIAL}{path.name}*"):
            interrupted.unlink()
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
    """Return the id of the MLflow run to continue; None if it is lost or starts from step 0."""
    client = mlflow.MlflowClient(address)
    try:
        if first_step:
            client.update_run(run_id, "RUNNING")
            return run_id
        client.delete_run(run_id)
    except mlflow.MlflowException:  # The store was removed or replaced.
        pass
    return None


_LOGGERS: dict[str, Callable[[_Series], Logger]] = {"tensorboard": _tensorboard, "mlflow": _mlflow}
