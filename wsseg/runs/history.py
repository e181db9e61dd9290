"""Which stages of a run are there, first to last."""

from pathlib import Path

from wsseg.errors import InputError
from wsseg.runs.config import Config, load_config
from wsseg.runs.stage import Stage, finished_stage

LAST_STAGES = ("masks-only", "filtered", "finetuned")
"""Stages of a run with a few masks, after its rounds where it has any."""


def known_stages(run: Path, config: Config) -> list[str]:
    """Return the stages of the shipped pipelines that make label maps or networks.

    Args:
        run: The run's folder, where rounds may have ended early.
        config: Says how many rounds.

    Returns:
        Names in the order in which they are made, finished or not.
    """
    return ["seeds", *(f"round-{number}" for number in _rounds(run, config)), *LAST_STAGES]


def preferred_stages(run: Path, config: Config) -> list[str]:
    """Return the stages of a run, the one to be used first.

    Args:
        run: The run's folder.
        config: Its settings.

    Returns:
        Those of ``known_stages``, the last one first; where rounds ended by themselves, the best
        one comes before the others.
    """
    best = finished_stage(run, "ending").get("best") if config.rounds.count == "auto" else None
    rounds = [name for name in known_stages(run, config)[::-1] if name not in LAST_STAGES]
    return [*LAST_STAGES[::-1], *sorted(rounds, key=lambda name: name != best)]


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
    """Return the stage of a run's last trained network, or that of its best round.

    Args:
        run: The run's folder.

    Returns:
        Its name, such as "round-3/model".

    Raises:
        InputError: The folder holds no run with a trained network.
    """
    for name in preferred_stages(run, load_config(run / "config.yaml")):
        if finished_stage(run, f"{name}/model"):
            return f"{name}/model"
    remedy = "give a run's folder or a model.ckpt"
    raise InputError(f"run {run}", "a folder with a trained network", "none", remedy)


def _rounds(run: Path, config: Config) -> range:
    if config.rounds.count == "auto":
        ended = finished_stage(run, "ending").get("rounds", config.rounds.most)
        return range(1, ended + 1)
    return range(1, max(config.rounds.count, 1) + 1)  # the upper bound trains once, whatever it is
