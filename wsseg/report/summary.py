"""The figures of a run's report, as kept in ``report/summary.json``. Shares are 0..1."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from wsseg.errors import InputError
from wsseg.files import write_json
from wsseg.metrics.bootstrap import Interval
from wsseg.metrics.calibration import ReliabilityBin

Figure = Annotated[
    float | None,
    BeforeValidator(
        lambda value: None if isinstance(value, float) and math.isnan(value) else value
    ),
]
"""A number; NaN, which JSON lacks, becomes None."""


class _Record(BaseModel):
    """A frozen record; fields that were not given are absent from its JSON."""

    model_config = ConfigDict(frozen=True)


class StageStats(_Record):
    """One stage: a row of the report's table of stages.

    Attributes:
        objects: Number of objects that the seed "sam" segmented.
        fallbacks: Number of those whose masks it refused and replaced by another seed's.
        signals: Means of ``SIGNALS`` over the classes in images.
        agreement: ``ranking_quality`` of each signal and the estimate against the true IoU.
        label_change: Difference of the label mIoU from the stage before.
        val_change: Difference of the validation mIoU from the stage before.
        seconds: Time of the stage and of all that was made for it alone.
    """

    name: str
    label_miou: Figure = None
    label_miou_covered: Figure = None
    coverage: Figure = None
    per_class: dict[str, Figure] = {}
    resets: int | None = None
    restored: int | None = None
    objects: int | None = None
    fallbacks: int | None = None
    label_change: Interval | None = None
    val_change: Interval | None = None
    val_miou: Figure = None
    signals: dict[str, Figure] = {}
    agreement: dict[str, tuple[Figure, Figure]] = {}
    seconds: float


class ClassStats(_Record):
    """Figures of one class; absent if the class does not occur."""

    iou: Figure = None
    precision: Figure = None
    recall: Figure = None
    boundary_iou: Figure = None


class TruthStats(_Record):
    """Label maps of one stage measured against the truth.

    Attributes:
        miou: Mean IoU.
        interval: Ends of its 95 % interval over images.
        boundary_iou: Mean boundary IoU.
        boundary_f1: Mean boundary F1.
        classes: Figures by class name.
        confusion: (K, K + 1) of ``confusion_matrix``.
        sizes: Mean IoU and number of objects, of ``iou_by_size``.
        reliability: Of ``Calibration.reliability``.
        calibration_error: Expected calibration error.
        kept: Of ``Calibration.coverage_curve``.
    """

    miou: float
    interval: tuple[float, float]
    boundary_iou: Figure
    boundary_f1: Figure
    classes: dict[str, ClassStats]
    confusion: list[list[int]]
    sizes: dict[str, tuple[float, int]]
    reliability: list[ReliabilityBin] = []
    calibration_error: Figure = None
    kept: list[tuple[float, float, float]] = []


class RoundStats(_Record):
    """The fields and properties of a round's ``Verdict``."""

    stage: str
    agreement: Figure
    gain: Interval | None
    churn: Figure
    vanished: Figure
    images: str = "validation"
    resets: Figure = None
    lost: tuple[str, ...] = ()
    learned_little: bool = False
    worse: bool
    word: str
    reason: str


class MaskStats(_Record):
    """The gain from a few masks.

    Attributes:
        method: ``finetune.method``.
        images: Number of images with masks.
        val_miou: Of the networks "base" (weak labels alone), "masks-only" and "finetuned".
        collapsed: Step by which the training had collapsed.
        thresholds: Lowest confidence of accepted pseudo-labels by class; None accepts none.
        reliability: Of ``Calibration.reliability``.
        calibration_error: Expected calibration error.
    """

    method: str
    images: int
    val_miou: dict[str, Figure]
    collapsed: int | None = None
    thresholds: dict[str, Figure] = {}
    reliability: list[ReliabilityBin] = []
    calibration_error: Figure = None


class Summary(_Record):
    """Everything that a run's report says in figures.

    Attributes:
        classes: Names, background first.
        seed: Seed of the run.
        config: The resolved settings.
        stages: The stages of label maps in order.
        measured: Comparisons with the truth, by stage of label maps.
        verdicts: Verdicts on the rounds.
        result: The stage that is used.
        val_miou: Validation mIoU of the result's network.
        val_interval: Ends of its 95 % interval over images.
        val_per_class: IoU of each class.
        tag_precision: Average precision of each tag on the validation images.
        thresholds: mIoU by score of the background, for each stage of activation maps.
        masks: For a run with a few masks.
        annotation_seconds: Annotation time of an image, with boxes by extreme clicks and with
            drawn ones.
    """

    classes: list[str]
    seed: int
    config: dict[str, Any]
    stages: list[StageStats]
    measured: dict[str, TruthStats] = {}
    verdicts: list[RoundStats] = []
    result: str | None = None
    val_miou: Figure = None
    val_interval: tuple[float, float] | None = None
    val_per_class: dict[str, Figure] = {}
    tag_precision: dict[str, Figure] = {}
    thresholds: dict[str, dict[float, float]] = {}
    masks: MaskStats | None = None
    annotation_seconds: tuple[float, float] | None = None

    def save(self, folder: Path) -> None:
        """Write ``summary.json``."""
        write_json(folder / "summary.json", self.model_dump(mode="json", exclude_unset=True))


def read_summary(run: Path) -> Summary:
    """Return the summary of a run's report.

    Raises:
        InputError: The run has no report yet, or a damaged one.
    """
    path, remedy = run / "report" / "summary.json", f"write it with wsseg report {run}"
    try:
        return Summary.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"There is no report {path}", hint="finish the run first") from error
    except ValidationError as error:
        raise InputError(f"{path} is not the summary of a run", hint=remedy) from error
    except ValueError as error:
        raise InputError(path, "JSON", error, remedy) from error
