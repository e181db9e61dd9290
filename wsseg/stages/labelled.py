"""Label maps of a stage as training data."""

from collections.abc import Iterable, Sequence

import pandas as pd

from wsseg.data.classes import candidate_classes
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.networks.losses.registry import DENSE_LOSSES, SPARSE_LOSSES
from wsseg.networks.training_data import TrainingPair
from wsseg.runs.config import Config
from wsseg.runs.labelling import label_path, usable_samples
from wsseg.runs.stage import Stage
from wsseg.runs.stats import read_stats

_DENSE = 0.9  # share of labelled pixels of dense label maps


def with_losses(config: Config, labels: Stage) -> Config:
    """Return settings whose ``trainer.loss``, if it is null, is replaced by the default.

    Args:
        labels: The label maps of the training. They are sparse if the images with any label are
            labelled in less than 90 % of their pixels.
    """
    if config.trainer.loss is not None:
        return config
    table = label_table(labels)
    known = table[table["class"] != IGNORE]
    total = table["pixels"][table["id"].isin(known["id"])].sum()
    loss = SPARSE_LOSSES if known["pixels"].sum() < _DENSE * total else DENSE_LOSSES
    trainer = config.trainer.model_copy(update={"loss": loss})
    return config.model_copy(update={"trainer": trainer})


def check_objects(labels: Stage, samples: Sequence[Sample], remedy: str) -> None:
    """Raise if the label maps of some images show no object.

    Args:
        labels: A complete stage of label maps.
        remedy: What to do then.

    Raises:
        InputError: No pixel has the label of an object.
    """
    table = label_table(labels)
    table = table[table["id"].isin([sample.id for sample in samples])]
    known = table[table["class"] != IGNORE]
    if not (known["class"] > 0).any():
        share = known["pixels"].sum() / max(1, table["pixels"].sum())
        got = f"{share:.0%} background and {1 - share:.0%} IGNORE" if share else "only IGNORE"
        rule = "labelled as an object in some pixel"
        raise InputError(f"label maps of stage {labels.name}", rule, got, remedy)


def label_table(labels: Stage) -> pd.DataFrame:
    """Return the number of pixels of each label ("class") of each image ("id")."""
    table: pd.DataFrame = read_stats(labels.path, ["id", "class", "pixels"]).to_pandas()
    return table[table["pixels"] > 0]


def labelled_pairs(
    labels: Stage, classes: Classes, samples: Iterable[Sample]
) -> list[TrainingPair]:
    """Return images and their label maps, without those whose every pixel is IGNORE.

    Args:
        labels: A complete stage of label maps.
    """
    table = label_table(labels)
    known = table[table["class"] != IGNORE]
    shown = {id: {*found} for id, found in known.groupby("id")["class"]}
    pairs = []
    for sample in usable_samples(labels, samples):
        if sample.id not in shown:
            continue
        candidates = {*candidate_classes(sample, len(classes)), *shown[sample.id]}
        possible = tuple(label in candidates for label in range(len(classes)))
        path = label_path(labels, sample)
        pairs.append(TrainingPair(sample.image, path, possible, sample.boxes, sample.reading))
    return pairs
