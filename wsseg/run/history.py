"""Which stages of a run are there, first to last."""

from pathlib import Path

from wsseg.errors import InputError
from wsseg.run.config import load_config
from wsseg.run.settings import Config
from wsseg.run.stage import Stage, finished_stage

LAST_STAGES = ("masks-only", "filtered", "finetuned")
"""Stages of a run with a few masks, after its rounds where it has any."""


def known_stages(config: Config) -> list[str]:
    """Return the stages of the shipped pipelines that make label maps or networks.

    Args:
        config: Says how many rounds.

    Returns:
        Names in the order in which they are made, finished or not.
    """
    rounds = max(config.rounds.count, 1)  # the upper bound trains once, whatever the count
    return ["seeds", *(f"round-{number}" for number in range(1, rounds + 1)), *LAST_STAGES]


def opened_stage(run: Path, name: str) -> Stage | None:
    """Return a stage of a run on disk, to be used by another run or a command.

    Args:
        run: The run's folder.
        name: Such as "round-3" or "round-3/model".

    Returns:
        The stage, None where it is not complete, or older than one that it is made from.
    """
    record = finished_stage(run, name)
    return Stage(name, run / name, record["key"], record["upstream"]) if record else None


def last_model(run: Path) -> str:
    """Return the stage of a run's last trained network.

    Args:
        run: The run's folder.

    Returns:
        Its name, such as "round-3/model".

    Raises:
        InputError: The folder holds no run with a trained network.
    """
    names = [f"{name}/model" for name in known_stages(load_config(run / "config.yaml"))]
    trained = [name for name in names if finished_stage(run, name)]
    if not trained:
        remedy = "give a run's folder or a model.ckpt"
        raise InputError(f"run {run}", "a folder with a trained network", "none", remedy)
    return trained[-1]
