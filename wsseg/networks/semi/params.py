"""Parameters of semi-supervised training."""

from typing import Literal

from pydantic import Field

from wsseg.params import AbsolutePath, Params


class SemiParams(Params):
    """Semi-supervised training: a teacher labels the images without masks."""

    burn_in: int = Field(0, ge=0)
    """Number of first steps on masks only; then the teacher starts as a copy of the student."""
    weight: float = Field(1.0, ge=0)
    """Weight of the loss on the teacher's labels."""
    threshold: Literal["fixed", "filter", "dynamic"] = "fixed"
    """Lowest confidence of the teacher's labels: "fixed" is ``min_confidence``, "filter" that of
    ``finetune.filter`` for each class, "dynamic" the mean confidence of the batch.
    """
    min_confidence: float = Field(0.9, ge=0, le=1)
    """Lowest confidence of a label with ``threshold: fixed``."""
    focal: float = Field(0.0, ge=0)
    """Exponent of the focal loss, 0 for the cross-entropy."""
    confidence_power: float = Field(0.0, ge=0)
    """Exponent of the confidence that weights each pixel, 0 for equal weights."""
    boundary: float = Field(0.0, ge=0)
    """Additional weight of the pixels at boundaries between the teacher's labels."""
    shrink: float = Field(0.0, ge=0)
    """Weight of the loss on pixels of low confidence, computed without their runner-up classes."""
    lookahead: int = Field(0, ge=0)
    """Number of trial steps of the student before each step, which the teacher follows; each costs
    as much as a step.
    """
    reliable_first: bool = False
    """Train the first half of the steps on the more reliable half of the unlabelled images."""
    extra: AbsolutePath | None = None
    """Folder of additional images without annotations."""
    reject: float | None = Field(None, gt=0, lt=1)
    """Quantile, such as 0.99, of the distances among images of the data set; extra images that are
    further away from them are left out. Null keeps all.
    """
    decay: float = Field(0.996, ge=0, lt=1)
    """Decay per update of the teacher, a moving average of the student's weights; at most
    1 - 1 / (updates + 1), so that the initial weights fade quickly.
    """
    update_every: int = Field(1, ge=1)
    """Number of steps between two updates of the teacher."""
    strong_views: int = Field(1, ge=0)
    """Number of strongly augmented views per image."""
    feature_view: bool = False
    """Add a view that is weakly augmented, with half of the encoder's channels dropped."""
