"""Parameters of semi-supervised training."""

from typing import Literal

from pydantic import Field

from wsseg.params import AbsolutePath, Params


class TeacherParams(Params):
    """The teacher: an exponential moving average of the student."""

    decay: float = Field(0.996, ge=0, lt=1)
    """Of the average, a step of it; in the first steps less, so that it does not hang on to the
    weights it began with: at most 1 - 1 / (updates + 1).
    """
    every: int = Field(1, ge=1)
    """Steps between updates."""
    buffers: bool = True
    """Whether statistics of batch normalisation are averaged too, or copied."""


class ViewParams(Params):
    """What the student sees of images that the teacher labels."""

    strong: int = Field(1, ge=0)
    """Strongly augmented views an image."""
    features: bool = False
    """Whether it also sees the weak view with half of the encoder's channels dropped."""
    cutmix: float = Field(0.5, ge=0, le=1)
    """Share of the strong views that get a rectangle of another image."""
    jitter: float = Field(0.5, ge=0, le=1)
    """Strength of their colour jitter, 0 to 1."""
    gray: float = Field(0.2, ge=0, le=1)
    """Share of them without colour."""
    blur: float = Field(0.5, ge=0, le=1)
    """Share of them that is blurred."""


class SemiParams(Params):
    """Semi-supervised training: a teacher labels what no mask does."""

    batch_size: int | None = Field(None, ge=2)
    """Images without masks a step; null is ``trainer.batch_size``, which counts those with masks.
    """
    burn_in: int = Field(0, ge=0)
    """Steps on masks only, after which the teacher becomes a copy of the student."""
    weight: float = Field(1.0, ge=0)
    """Of the loss on what the teacher labels."""
    ramp: int = Field(0, ge=0)
    """Steps after ``burn_in`` in which this weight rises."""
    threshold: Literal["fixed", "filter", "dynamic"] = "fixed"
    """Least confidence of a teacher's label: "fixed" is ``confidence``; "filter" those of
    ``finetune.filter``, by class; "dynamic" follows the mean confidence of the batch.
    """
    confidence: float = Field(0.9, ge=0, le=1)
    """``fixed``: least probability."""
    per_kept: bool = False
    """Whether the loss is the mean over the pixels that are kept, or over all, so that it grows
    with their share.
    """
    focal: float = Field(0.0, ge=0)
    """Power by which sure pixels count less, 0 for cross-entropy."""
    weigh: float = Field(0.0, ge=0)
    """Power of the confidence that weighs each pixel, 0 for none."""
    boundary: float = Field(0.0, ge=0)
    """Weight of an additional mean over the pixels at boundaries of the teacher's labels."""
    shrink: float = Field(0.0, ge=0)
    """Weight of the loss on unsure pixels, whose runner-up classes are left out until they are
    sure.
    """
    future: int = Field(0, ge=0)
    """Steps that the student goes ahead on trial, for the teacher to follow, before each step; each
    costs as much as a step.
    """
    reliable_first: bool = False
    """Whether the first half of the steps sees the more reliable half of the unlabelled images
    only.
    """
    gate: bool = True
    """Whether the teacher's labels keep to the weak annotations."""
    extra: AbsolutePath | None = None
    """A folder of more images without any annotations."""
    reject: float | None = Field(None, gt=0, lt=1)
    """Extra images are left out that are further from the data set's images than this share of
    these are from each other, such as 0.99; null keeps all.
    """
    keep: Literal["teacher", "student"] = "teacher"
    """The network that is the result."""
    teacher: TeacherParams = TeacherParams()
    """How it follows."""
    views: ViewParams = ViewParams()
    """How its labels are learned."""
