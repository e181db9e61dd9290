"""Names of the stages of the shipped pipelines; a name is also the stage's folder in the run."""

SEEDS = "seeds"
"""First label maps of the training images."""

ZOOM = "zoom"
"""First label maps that networks on box crops have improved."""

CLASSIFIER, CAMS, CONFIDENT = "classifier", "cams", "confident"
AFFINITY, SPREAD, FOCUSED, TAG_SEEDS = "affinity", "spread", "focused", "tag-seeds"
"""Stages from tags to the first label maps of images that have only tags, in order."""

MASKS, MASKS_ONLY = "masks", "masks-only"
PREDICTED, CALIBRATION, FILTERED = "predicted", "calibration", "filtered"
RELIABILITY, PRETRAINED, FINETUNED = "reliability", "pretrained", "finetuned"
"""Stages of fine-tuning on a few masks, in order."""

ENDING = "ending"
"""Records the number of rounds and the best one, with ``rounds.count: auto``."""


def round_name(number: int) -> str:
    """Return the name of the label maps of a round, which starts at 1."""
    return f"round-{number}"


def fold_name(number: int) -> str:
    """Return the name of a network on box crops, such as "zoom/fold-1"; numbers start at 1."""
    return f"{ZOOM}/fold-{number}"


def is_round(name: str) -> bool:
    """Return whether a name is that of the label maps of a round."""
    return name.startswith("round-") and "/" not in name


def model_name(labels: str) -> str:
    """Return the name of the network that made label maps, such as "round-1/model"."""
    return f"{labels}/model"


def val_name(labels: str) -> str:
    """Return the name of the validation predictions of the same network as some label maps."""
    return f"{labels}/val"


def quality_name(labels: str) -> str:
    """Return the name of the comparison of label maps with hidden truth."""
    return f"{labels}/quality"


def signals_name(labels: str) -> str:
    """Return the name of the signals of label maps, which need no truth."""
    return f"{labels}/signals"


def labels_name(part: str) -> str:
    """Return the name of the label maps to which a network or a validation prediction belongs.

    Example:
        >>> labels_name("round-1/model")
        'round-1'
    """
    return part.rpartition("/")[0]
