"""The run on weak labels that a fine-tuning starts from."""

from dataclasses import dataclass
from pathlib import Path

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.prediction import check_classes
from wsseg.runs.names import is_round, model_name
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage


@dataclass(frozen=True)
class BaseRun:
    """A trained network and the label maps that it made.

    Attributes:
        model: A complete stage with ``model.ckpt``.
        labels: A complete stage of label maps, or None if the network has made none.
        earlier: Files of earlier networks, first to last.
    """

    model: Stage
    labels: Stage | None = None
    earlier: tuple[Path, ...] = ()


def load_base_run(path: Path, classes: Classes) -> BaseRun:
    """Return the last finished round of a run, with the networks of earlier rounds.

    Args:
        path: The run's folder.
        classes: The classes of the data set to fine-tune on.

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
    last, model = min(models, key=lambda pair: preferred.index(pair[0]))
    check_classes(f"finetune.base {path}", model.path / "model.ckpt", classes)
    earlier = tuple(stage.path / "model.ckpt" for _, stage in models[: models.index((last, model))])
    return BaseRun(model, run.finished(last), earlier)
