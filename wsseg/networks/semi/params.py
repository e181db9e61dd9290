"""Parameters of semi-supervised training."""

from typing import Literal

from pydantic import Field

from wsseg.params import AbsolutePath, Params


class SemiParams(Params):
    """Semi-supervised training: a teacher labels the images without masks."""

    burn_in: int = Field(0, ge=0)
    """Steps on masks only, after which the teacher becomes a copy of the student."""
    weight: float = Field(1.0, ge=0)
    """Weight of the loss on the teacher's labels."""
    threshold: Literal["fixed", "filter", "dynamic"] = "fixed"
    """Confidence that a label needs: "fixed" is ``min_confidence``, "filter" are the thresholds of
    ``finetune.filter`` per class, "dynamic" follows the mean confidence of the batch.
    """
    min_confidence: float = Field(0.9, ge=0, le=1)
    """Lowest probability of a label for ``threshold: fixed``."""
    focal: float = Field(0.0, ge=0)
    """Exponent of the focal loss, 0 for the cross-entropy."""
    confidence_power: float = Field(0.0, ge=0)
    """Exponent of the confidence that weights each pixel, 0 for equal weights."""
    boundary: float = Field(0.0, ge=0)
    """Weight of an additional mean over the pixels at boundaries of the teacher's labels."""
    shrink: float = Field(0.0, ge=0)
    """Weight of the loss on unconfident pixels, which leaves out their runner-up classes."""
    lookahead: int = Field(0, ge=0)
    """Trial steps of the student that the teacher follows before each step; each costs as much as a
    step.
    """
    reliable_first: bool = False
    """Train the first half of the steps on the more reliable half of the unlabelled images."""
    extra: AbsolutePath | None = None
    """A folder with further images without annotations."""
    reject: float | None = Field(None, gt=0, lt=1)
    """Leave out extra images that are further from the images of the data set than this share of
    these are from each other, such as 0.99; null keeps all.
    """
    decay: float = Field(0.996, ge=0, lt=1)
    """Decay per update of the average of the student's weights that the teacher is. The first
    updates use less, at most 1 - 1 / (updates + 1), to leave the initial weights behind.
    """
    update_every: int = Field(1, ge=1)
    """Steps between the updates of the teacher."""
    strong_views: int = Field(1, ge=0)
    """Strongly augmented views per image."""
    feature_view: bool = False
    """Add the weak view with half of the encoder's channels dropped."""
