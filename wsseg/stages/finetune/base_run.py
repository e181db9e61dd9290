"""What the last stage builds on: a network from weak labels, and its labels."""

from dataclasses import dataclass
from pathlib import Path

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.prediction import check_classes
from wsseg.runs.names import is_round, model_name
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage


@dataclass(frozen=True)
class Base:
    """A trained network and the label maps that it made.

    Args:
        model: A complete stage with ``model.ckpt``.
        labels: A complete stage of label maps; None where the network has made none.
        earlier: Files of earlier networks, first to last.
    """

    model: Stage
    labels: Stage | None = None
    earlier: tuple[Path, ...] = ()


def open_base(path: Path, classes: Classes) -> Base:
    """Return the last finished round of a run.

    Args:
        path: The run's folder.
        classes: That it must have.

    Returns:
        Its network, label maps, and the networks of earlier rounds.

    Raises:
        InputError: The folder holds no run with a finished round, or one of other classes.
    """
    run = Run(path)
    rounds = [name for name in run.label_stages() if is_round(name)]
    models = [(name, model) for name in rounds if (model := run.finished(model_name(name)))]
    if not models:
        rule, remedy = "a run with a finished round", "finish it first, or leave it out"
        raise InputError(f"finetune.base {path}", rule, "none", remedy)
    preferred = run.preferred_stages()
    last, model = min(models, key=lambda found: preferred.index(found[0]))
    check_classes(f"finetune.base {path}", model.path / "model.ckpt", classes)
    earlier = tuple(stage.path / "model.ckpt" for _, stage in models[: models.index((last, model))])
    return Base(model, run.finished(last), earlier)
