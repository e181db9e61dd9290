"""The networks of an audit: that of the run, and those trained without a part of the images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.runs.config import Config
from wsseg.runs.names import SEEDS, model_name
from wsseg.runs.run import Run
from wsseg.runs.stage import finished_stage
from wsseg.stages.rounds import train_segmenter


@dataclass(frozen=True)
class Network:
    """A trained network.

    Args:
        folder: The folder with ``model.ckpt``.
        key: The key of the stage that trained it.
    """

    folder: Path
    key: str


def find_network(run: Path, config: Config, stage: str | None) -> tuple[str, Network]:
    """Return the name and the network of a stage.

    Args:
        stage: Name of a stage, such as "round-1"; None is the last complete round.

    Raises:
        InputError: There is no such stage, or its training is not finished.
    """
    for name in [stage] if stage else Run(run, config).preferred_stages():
        if model := finished_stage(run, model_name(name)):
            return name, Network(model.path, model.key)
    known = sorted(path.parents[1].name for path in run.glob("*/model/manifest.json"))
    source = f"stage {stage} of {run}" if stage else f"run {run}"
    hint = f"choose one of {', '.join(known)}" if stage and known else "run it to its end"
    raise InputError(f"{source} has no finished network", hint=hint)


def train_fold_networks(  # noqa: PLR0917 - a run, its data and the folder of the networks
    run: Path, out: Path, config: Config, dataset: Dataset, samples: Sequence[Sample], count: int
) -> dict[str, Network]:
    """Train networks of which each has not learned from one part of the images.

    The images are dealt into ``count`` parts. For each part, a network is trained on the first
    label maps of the other parts, with the settings of the run. Its predictions for its own part
    are out of sample, as confident learning requires.

    Args:
        run: The folder of the run; its stage "seeds" must be complete.
        out: The networks are written to ``fold-1-of-3`` and so on in this folder.
        samples: The images to be predicted.
        count: 2 or more.

    Returns:
        The network that predicts each image, by id.

    Raises:
        InputError: The stage is not complete, or there are fewer images than parts.

    References:
        Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021, arXiv:1911.00068, section 3.
    """
    if count > len(samples):
        rule = f"at most {len(samples)}, the number of images"
        raise InputError("folds", rule, count, "choose a smaller number")
    labels = finished_stage(run, SEEDS)
    if labels is None:
        raise InputError(f"stage seeds of {run} is not complete", hint="run it to its end")
    networks: dict[str, Network] = {}
    for number in range(count):
        held_out = {sample.id for sample in samples[number::count]}
        rest = tuple(sample for sample in dataset.samples if sample.id not in held_out)
        path = out / f"fold-{number + 1}-of-{count}"
        fold_run = Run(path, config.model_copy(update={"run_dir": path}))
        model = train_segmenter(fold_run, replace(dataset, samples=rest), labels, 1)
        networks |= dict.fromkeys(held_out, Network(model.path, model.key))
    return networks
