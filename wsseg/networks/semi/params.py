"""Parameters of semi-supervised training."""

from typing import Literal

from pydantic import Field

from wsseg.params import AbsolutePath, Params


class TeacherParams(Params):
    """The teacher: an exponential moving average of the student.

    Attributes:
        decay: Of the average, a step of it; in the first steps less, so that it does not hang on
            to the weights it began with: at most 1 - 1 / (updates + 1).
        every: Steps between updates.
        buffers: Whether statistics of batch normalisation are averaged too, or copied.
    """

    decay: float = Field(0.996, ge=0, lt=1)
    every: int = Field(1, ge=1)
    buffers: bool = True


class ViewParams(Params):
    """What the student sees of images that the teacher labels.

    Attributes:
        strong: Strongly augmented views an image.
        features: Whether it also sees the weak view with half of the encoder's channels dropped.
        cutmix: Share of the strong views that get a rectangle of another image.
        jitter: Strength of their colour jitter, 0 to 1.
        gray: Share of them without colour.
        blur: Share of them that is blurred.
    """

    strong: int = Field(1, ge=0)
    features: bool = False
    cutmix: float = Field(0.5, ge=0, le=1)
    jitter: float = Field(0.5, ge=0, le=1)
    gray: float = Field(0.2, ge=0, le=1)
    blur: float = Field(0.5, ge=0, le=1)


class SemiParams(Params):
    """Semi-supervised training: a teacher labels what no mask does.

    Attributes:
        batch_size: Images without masks a step; null is ``trainer.batch_size``, which counts those
            with masks.
        burn_in: Steps on masks only, after which the teacher becomes a copy of the student.
        weight: Of the loss on what the teacher labels.
        ramp: Steps after ``burn_in`` in which this weight rises.
        threshold: Least confidence of a teacher's label: "fixed" is ``confidence``; "filter" those
            of ``finetune.filter``, by class; "dynamic" follows the mean confidence of the batch.
        confidence: ``fixed``: least probability.
        per_kept: Whether the loss is the mean over the pixels that are kept, or over all, so that
            it grows with their share.
        focal: Power by which sure pixels count less, 0 for cross-entropy.
        weigh: Power of the confidence that weighs each pixel, 0 for none.
        boundary: Weight of an additional mean over the pixels at boundaries of the teacher's
            labels.
        shrink: Weight of the loss on unsure pixels, whose runner-up classes are left out until they
            are sure.
        future: Steps that the student goes ahead on trial, for the teacher to follow, before each
            step; each costs as much as a step.
        reliable_first: Whether the first half of the steps sees the more reliable half of the
            unlabelled images only.
        gate: Whether the teacher's labels keep to the weak annotations.
        extra: A folder of more images without any annotations.
        reject: Extra images are left out that are further from the data set's images than this
            share of these are from each other, such as 0.99; null keeps all.
        keep: The network that is the result.
        teacher: How it follows.
        views: How its labels are learned.
    """

    batch_size: int | None = Field(None, ge=2)
    burn_in: int = Field(0, ge=0)
    weight: float = Field(1.0, ge=0)
    ramp: int = Field(0, ge=0)
    threshold: Literal["fixed", "filter", "dynamic"] = "fixed"
    confidence: float = Field(0.9, ge=0, le=1)
    per_kept: bool = False
    focal: float = Field(0.0, ge=0)
    weigh: float = Field(0.0, ge=0)
    boundary: float = Field(0.0, ge=0)
    shrink: float = Field(0.0, ge=0)
    future: int = Field(0, ge=0)
    reliable_first: bool = False
    gate: bool = True
    extra: AbsolutePath | None = None
    reject: float | None = Field(None, gt=0, lt=1)
    keep: Literal["teacher", "student"] = "teacher"
    teacher: TeacherParams = TeacherParams()
    views: ViewParams = ViewParams()
