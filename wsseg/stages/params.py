"""Parameters of the rounds and of fine-tuning."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from wsseg.networks.params import LossWeights
from wsseg.networks.semi.params import SemiParams
from wsseg.params import AbsolutePath, Params
from wsseg.refine.params import CleaningParams


def _count(value: object) -> object:
    if value != "auto" and not (isinstance(value, int) and value >= 0):
        raise ValueError("a whole number of at least 0, or auto")
    return value


class RoundParams(CleaningParams):
    """The Simple Does It loop."""

    count: Annotated[int | Literal["auto"], BeforeValidator(_count)] = 3
    """Rounds of training and cleaning; "auto" ends them when signals say that labels no longer
    improve, see ``wsseg.stages.stopping``.
    """
    max_rounds: int = Field(8, ge=1)
    """Rounds at most with "auto"."""
    restart: bool = True
    """Whether each round trains from the initial weights or continues."""
    loss: LossWeights | None = Field(None, min_length=1)
    """Weights of losses from the second round on, null for those of ``trainer.loss``: after the
    first, label maps leave little for losses of unlabelled pixels to do.
    """
    clean: bool = True
    """False is the naive loop: predictions become labels as they are."""
    refiner: str = "crf"
    """What sharpens predictions before they become labels: "crf", "par", "none", or a plug-in's
    name.
    """

    @property
    def numbers(self) -> range:
        """The rounds, from 1."""
        return range(1, (self.max_rounds if self.count == "auto" else self.count) + 1)


class FilterParams(Params):
    """The rule by which pseudo-labels are accepted; the others become IGNORE."""

    rule: Literal["none", "global", "per_class", "calibrated"] = "global"
    """"none" accepts all; "global" accepts a confidence of at least ``confidence``; "per_class" the
    most confident share ``keep`` of the pixels of each class; "calibrated" measures on the images
    with masks from which confidence a share ``precision`` of the labels of a class is right, and
    accepts no label of a class that never reaches it.
    """
    confidence: float = Field(0.9, ge=0, le=1)
    """Lowest confidence for ``global``, and for classes that ``calibrated`` has too few pixels of.
    """
    keep: float = Field(0.5, gt=0, le=1)
    """Share of the pixels of a class for ``per_class``."""
    precision: float = Field(0.9, gt=0, le=1)
    """Share of the accepted pixels of a class that must be right for ``calibrated``."""


class FinetuneParams(Params):
    """Fine-tuning: a few pixel masks in addition to weak labels."""

    base: AbsolutePath | None = None
    """A finished run on weak labels, whose last network and labels are used; null trains the first
    network on the masks alone.
    """
    method: Literal["supervised", "augment", "pretrain", "semi"] = "augment"
    """"supervised" trains on the masks alone; "augment" on masks and pseudo-labels together;
    "pretrain" on pseudo-labels first and then on masks; "semi" on masks and on the labels that a
    teacher gives to the other images.
    """
    masks_only: bool = True
    """Train a network on the masks alone, too, for comparison."""
    share: float = Field(0.5, ge=0, lt=1)
    """Share of the training images that carry a mask in ``augment``, by repeating them."""
    lr_factor: float | None = Field(None, gt=0)
    """Factor of the learning rates of the last training; null is 1, and 0.1 for ``pretrain``, which
    would otherwise forget what it learned first.
    """
    filter: FilterParams = FilterParams()
    semi: SemiParams = SemiParams()


class ExportParams(Params):
    """Which label maps of a run are exported, and in which format."""

    to: Literal["voc", "coco", "cvat", "fiftyone"]
    """Format: voc, coco, cvat or fiftyone."""
    stage: str | None = None
    """Stage of the label maps, such as round-2 or round-2/val; by default the last complete one."""
    split: str | None = None
    """Split, such as train or val; by default the one that the stage labels."""
    images: Literal["copy", "link", "none"] = "copy"
    """copy, link (hard links on one file system), or none for a tool that has the images already.
    wsseg can read only a folder with images."""
    worst: PositiveInt | None = None
    """Number of images, the worst first by estimated quality; by default all are exported."""
