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
    """Which pseudo-labels are believed; the others are IGNORE."""

    rule: Literal["none", "global", "per_class", "calibrated"] = "global"
    """"none" believes all; "global" believes where the network is at least ``confidence`` sure;
    "per_class" the surest ``keep`` of the pixels of each class; "calibrated" asks the
    pixel-labelled images from which confidence on labels of a class are right often enough, and
    believes no label of a class that never is.
    """
    confidence: float = Field(0.9, ge=0, le=1)
    """``global``: least probability; also of classes that the pixel-labelled images say too little
    of.
    """
    keep: float = Field(0.5, gt=0, le=1)
    """``per_class``: share of the pixels of a class."""
    precision: float = Field(0.9, gt=0, le=1)
    """``calibrated``: share of the believed pixels of a class that must be right."""


class FinetuneParams(Params):
    """A few pixel labels on top of weak ones; see ``wsseg.stages.finetune``."""

    base: AbsolutePath | None = None
    """A finished run on weak labels, whose last network and labels are taken; null trains the first
    network on the masks alone.
    """
    method: Literal["supervised", "augment", "pretrain", "semi"] = "augment"
    """"supervised" trains on the masks alone; "augment" on masks and pseudo-labels together;
    "pretrain" on pseudo-labels first and then on masks; "semi" on masks and on what a teacher says
    of the other images.
    """
    masks_only: bool = True
    """Whether a network is trained on the masks alone, too, to compare with."""
    restart: bool = False
    """Whether training starts from the encoder's weights or from the base's network."""
    share: float = Field(0.5, ge=0, lt=1)
    """``augment``: share of the training images that carry a mask, by repeating them."""
    steps: PositiveInt | None = None
    """Of the last training; null is ``trainer.steps``."""
    rate: float | None = Field(None, gt=0)
    """Factor of its learning rates; null is 1, and 0.1 for ``pretrain``, which would otherwise
    forget what it learned first.
    """
    filter: FilterParams = FilterParams()
    """Which pseudo-labels are believed."""
    semi: SemiParams = SemiParams()
    """How ``semi`` works."""


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
