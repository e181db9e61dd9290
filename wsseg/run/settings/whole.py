"""All settings of a run in one value."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from wsseg.run.settings.base import AbsolutePath, LocalPath, Settings
from wsseg.run.settings.finetune import FinetuneSettings
from wsseg.run.settings.labels import (
    CAMSettings,
    CRFSettings,
    PARSettings,
    SeedSettings,
    WalkSettings,
)
from wsseg.run.settings.networks import (
    AffinitySettings,
    ClassifierSettings,
    LossWeights,
    ModelSettings,
    PredictionSettings,
    TrainerSettings,
)


class DataSettings(Settings):
    """Where the images and annotations lie.

    Attributes:
        format: A key of ``READERS``, such as "voc", or "auto" to find out.
        root: The data set's folder. For "scenes" it is where the demo scenes are generated.
        weak: What is read as weak labels: "boxes", "tags", "boxes_as_tags" (the classes of an
            image's boxes without the boxes), "all" that is drawn or tagged but full masks, "masks"
            of the images that have one, or "none" of it.
        annotations: Files that are laid over these: points, scribbles, boxes, tags and masks in any
            format of ``OVERLAYS``, or the masks of another data set's folder, such as exported
            labels that were corrected; their images are found by name.
        corrections: Files in any format of ``OVERLAYS`` that replace all that is known of their
            images, such as the findings of an audit, corrected in CVAT.
        closed: Whether every class that an image shows has a mark where it has points, scribbles or
            outlines, so that others are absent; null is what their file says, else true.
        stroke_width: Pixels, of points and scribbles whose file gives none; null is 1 % of the
            image's longer side, at least 3.
        masks: A file with an image's id a line, such as ``wsseg select`` writes: training images
            whose masks in the data set are given; those of others stay hidden.
        train: Name of the split with weak labels.
        val: Name of the split that figures are measured on; null where there is none.
    """

    format: Literal[
        "auto",
        "voc",
        "coco",
        "yolo",
        "csv",
        "folders",
        "scenes",
        "jsonl",
        "cvat",
        "labelme",
        "labelstudio",
    ] = "auto"
    root: AbsolutePath
    weak: Literal["boxes", "tags", "boxes_as_tags", "all", "masks", "none"] = "boxes"
    annotations: tuple[AbsolutePath, ...] = ()
    corrections: tuple[AbsolutePath, ...] = ()
    closed: bool | None = None
    stroke_width: float | None = Field(None, gt=0)
    masks: AbsolutePath | None = None
    train: str = "train"
    val: str | None = "val"

    @field_validator("val")
    @classmethod
    def _held_out(cls, val: str | None, known: ValidationInfo) -> str | None:
        if val is not None and val == known.data.get("train"):
            raise ValueError("another split than data.train, or null")
        return val

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits to read."""
        return (self.train,) if self.val is None else (self.train, self.val)


def _count(value: object) -> object:
    if value != "auto" and not (isinstance(value, int) and value >= 0):
        raise ValueError("a whole number of at least 0, or auto")
    return value


class RoundSettings(Settings):
    """The Simple Does It loop.

    Attributes:
        count: Rounds of training and cleaning; "auto" ends them when signals say that labels no
            longer improve, see ``wsseg.quality.stopping``.
        most: Rounds at most with "auto".
        restart: Whether each round trains from the initial weights or continues.
        loss: Weights of losses from the second round on, null for those of ``trainer.loss``: after
            the first, label maps leave little for losses of unlabelled pixels to do.
        clean: False is the naive loop: predictions become labels as they are.
        refiner: What sharpens predictions before they become labels: "crf", "par", "none", or a
            plug-in's name.
        reset_iou: A segment that covers its box worse than this goes back to its first label.
        min_island: Connected regions below this share of the image become IGNORE; 0 keeps all.
    """

    count: Annotated[int | Literal["auto"], BeforeValidator(_count)] = 3
    most: int = Field(8, ge=1)
    restart: bool = True
    loss: LossWeights | None = Field(None, min_length=1)
    clean: bool = True
    refiner: str = "crf"
    reset_iou: float = Field(0.5, ge=0, le=1)
    min_island: float = Field(0.0, ge=0, lt=1)

    @property
    def numbers(self) -> range:
        """The rounds, from 1."""
        return range(1, (self.most if self.count == "auto" else self.count) + 1)


def _listed(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


class RaySettings(Settings):
    """The cluster of ``engine: ray``; see ``wsseg.run.cluster``.

    Attributes:
        address: "auto" joins the cluster that this machine belongs to, "host:6379" the one of that
            head node; null starts one of this machine alone.
        gpus: Share of a GPU that an image takes, such as 0.25 for four at a time on each; with 0
            the label stages use CPUs only.
        retries: How often an image is tried again when its worker or node is lost.
    """

    address: str | None = None
    gpus: float = Field(0.0, ge=0)
    retries: int = Field(5, ge=0)


class Config(Settings):
    """All settings of a run.

    Attributes:
        pipeline: A shipped pipeline ("boxes", "tags", "mixed", "full") or the path of a script of
            one's own.
        run_dir: The run's folder.
        seed: Of everything random.
        engine: Where the label stages run: "local" processes, or "ray", a cluster. The labels are
            the same.
        workers: Processes for the label stages; null is one a core. On a cluster, images at a time
            at most; null is what its cores and GPUs hold.
        strict: Stop at the first bad image in place of setting it aside.
        loggers: What gets the curves of every training, one name or several: "tensorboard",
            "mlflow"; see ``wsseg.learning.loggers``. They change no result.
    """

    pipeline: str = "boxes"
    run_dir: LocalPath
    seed: int = Field(0, ge=0)
    engine: Literal["local", "ray"] = "local"
    workers: int | None = Field(None, ge=1)
    ray: RaySettings = RaySettings()
    strict: bool = False
    loggers: Annotated[tuple[Literal["tensorboard", "mlflow"], ...], BeforeValidator(_listed)] = ()
    data: DataSettings
    seeds: SeedSettings = SeedSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    cam: CAMSettings = CAMSettings()
    walk: WalkSettings = WalkSettings()
    affinity: AffinitySettings = AffinitySettings()
    crf: CRFSettings = CRFSettings()
    par: PARSettings = PARSettings()
    model: ModelSettings = ModelSettings()
    trainer: TrainerSettings = TrainerSettings()
    prediction: PredictionSettings = PredictionSettings()
    rounds: RoundSettings = RoundSettings()
    finetune: FinetuneSettings = FinetuneSettings()

    @property
    def num_nodes(self) -> int:
        """How many machines the run takes, at least for one of its trainings."""
        trainers = (self.trainer, self.classifier.trainer, self.affinity.trainer)
        return max(trainer.num_nodes for trainer in trainers)
