"""Parameters of the rounds and of fine-tuning."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from wsseg.networks.semi.params import SemiParams
from wsseg.params import AbsolutePath, Params
from wsseg.refine.params import CleaningParams

_MAX_ROUNDS = 8  # of "auto"; the best round of docs/quality.md is the sixth


def _count(value: object) -> object:
    if value != "auto" and not (isinstance(value, int) and value >= 0):
        raise ValueError("a whole number of at least 0, or auto")
    return value


class RoundParams(CleaningParams):
    """The rounds of training, prediction and cleaning (Simple Does It)."""

    count: Annotated[int | Literal["auto"], BeforeValidator(_count)] = 2
    """Number of rounds; "auto" ends them when the labels no longer improve, as measured without
    true masks, or after 8.
    """
    restart: bool = True
    """Train each round from the initial weights; false continues from the last round's network."""
    clean: bool = True
    """Correct predictions by the annotations before they become labels; false keeps them."""
    refiner: str = "crf"
    """Refiner of predictions before they become labels: "crf", "par", "pamr", "sam", "none", or
    the name of a plug-in.
    """

    @property
    def numbers(self) -> range:
        """The rounds, from 1."""
        return range(1, (_MAX_ROUNDS if self.count == "auto" else self.count) + 1)


class FilterParams(Params):
    """Choice of the predicted labels (pseudo-labels) to train on; the others become IGNORE."""

    rule: Literal["none", "global", "per_class", "calibrated"] = "global"
    """"none" accepts all; "global" accepts labels whose confidence is at least ``confidence``;
    "per_class" accepts the more confident half of each class; "calibrated" measures on the images
    with masks, for each class, from which confidence a share ``precision`` of its labels is
    correct.
    """
    confidence: float = Field(0.9, ge=0, le=1)
    """Lowest confidence of "global", and of "calibrated" for classes that are too rare to measure.
    """
    precision: float = Field(0.9, gt=0, le=1)
    """Share of the accepted pixels of a class that must be correct with "calibrated"."""


class FinetuneParams(Params):
    """Fine-tuning: a few pixel masks in addition to weak labels."""

    base: AbsolutePath | None = None
    """Folder of a finished run on weak labels, whose last network is fine-tuned; null trains the
    first network on the masks alone.
    """
    method: Literal["supervised", "augment", "pretrain", "semi"] = "augment"
    """"supervised" trains on the masks alone; "augment" on masks and pseudo-labels together;
    "pretrain" on pseudo-labels first and then on masks; "semi" on masks and on the labels that a
    teacher gives to the other images.
    """
    masks_only: bool = True
    """Also train a network on the masks alone, for comparison."""
    share: float = Field(0.5, ge=0, lt=1)
    """Share of images with masks in the training of "augment"; they are repeated to reach it."""
    filter: FilterParams = FilterParams()
    semi: SemiParams = SemiParams()


class ImageFileParams(Params):
    """Handling of the images in an export."""

    images: Literal["copy", "link", "none"] = "copy"
    """copy, link (hard links on one file system), or none for a tool that has the images already.
    wsseg can read only a folder with images."""


class ExportParams(ImageFileParams):
    """Label maps of a run to export, and their format."""

    to: Literal["voc", "coco", "cvat", "fiftyone", "labelstudio", "labelme", "yolo"]
    """Format: voc, coco, cvat, fiftyone, labelstudio, labelme or yolo."""
    stage: str | None = None
    """Stage of the label maps, such as round-2 or round-2/val; by default the last complete one."""
    split: str | None = None
    """Split, such as train or val; by default the one that the stage labels."""
    worst: PositiveInt | None = None
    """Number of images, the worst first by estimated quality; by default all are exported."""
