"""Which network looks at which image: the run's own, or one that never saw the image's labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.runs.config import Config
from wsseg.runs.names import SEEDS, model_name
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage, finished_stage
from wsseg.stages.rounds import train_segmenter


@dataclass(frozen=True)
class Network:
    """A trained network.

    Args:
        folder: Holds ``model.ckpt``.
        key: Of the stage that trained it.
    """

    folder: Path
    key: str


def network_of(run: Path, config: Config, stage: str | None) -> tuple[str, Network]:
    """Return the network of a stage.

    Args:
        run: The run's folder.
        config: Its settings.
        stage: Such as "round-1"; None is the last complete one.

    Returns:
        The stage's name and its network.

    Raises:
        InputError: It is not there, or its training is not finished.
    """
    for name in [stage] if stage else Run(run, config).preferred_stages():
        if model := finished_stage(run, model_name(name)):
            return name, Network(model.path, model.key)
    known = sorted(path.parents[1].name for path in run.glob("*/model/manifest.json"))
    subject = f"--stage {stage}" if stage else f"run {run}"
    remedy = f"known: {', '.join(known)}" if stage and known else "run it to its end"
    raise InputError(subject, "one with a finished network", "none", remedy)


def networks_of_folds(  # noqa: PLR0917 - a run, its data and where the networks go
    run: Path, out: Path, config: Config, dataset: Dataset, samples: Sequence[Sample], count: int
) -> dict[str, Network]:
    """Train networks of which each has not seen the labels of a part of the images.

    The images are dealt into ``count`` parts; for each a network is trained, with the run's
    settings, on the first label maps of the other parts. What it says of its own part is out of
    sample, as confident learning asks for: a network that was taught an error confirms it.

    Args:
        run: The run's folder; its stage "seeds" is complete.
        out: The networks go into ``fold-1-of-3`` and so on.
        config: The run's settings.
        dataset: Its classes and images.
        samples: The images to be looked at.
        count: 2 or more.

    Returns:
        The network that looks at each image, by the image's id.

    Raises:
        InputError: The stage is not complete, or there are fewer images than parts.

    References:
        Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021, arXiv:1911.00068, section 3.
    """
    if not 2 <= count <= len(samples):
        rule = f"from 2 to {len(samples)}, the number of images"
        raise InputError("--folds", rule, count, "choose another number")
    labels = _first_labels(run)
    networks: dict[str, Network] = {}
    for number in range(count):
        held_out = {sample.id for sample in samples[number::count]}
        rest = tuple(sample for sample in dataset.samples if sample.id not in held_out)
        path = out / f"fold-{number + 1}-of-{count}"
        of_fold = config.model_copy(update={"run_dir": path})
        model = train_segmenter(Run(path, of_fold), replace(dataset, samples=rest), labels, 1)
        networks |= dict.fromkeys(held_out, Network(model.path, model.key))
    return networks


def _first_labels(run: Path) -> Stage:
    labels = finished_stage(run, SEEDS)
    if labels is None:
        raise InputError(f"stage seeds of {run}", "complete", "unfinished", "run it to its end")
    return labels
