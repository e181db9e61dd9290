"""All settings of a run, typed: what each means, its rule and its default."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
)


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound first")
    return bounds


_ORDERED = AfterValidator(_in_order)


class Settings(BaseModel):
    """Base of every group of settings: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Settings):
    """Where the images and annotations lie.

    Attributes:
        format: "voc", "coco", "yolo", "csv", "folders", or "auto" to find out.
        root: The data set's folder. For "scenes" it is where the demo scenes are generated.
        weak: What is read as weak labels: "boxes", "tags", or "boxes_as_tags": the classes of an
            image's boxes without the boxes.
        train: Name of the split with weak labels.
        val: Name of the split that figures are measured on; null where there is none.
    """

    format: Literal["auto", "voc", "coco", "yolo", "csv", "folders", "scenes"] = "auto"
    root: Annotated[Path, AfterValidator(Path.absolute)]
    weak: Literal["boxes", "tags", "boxes_as_tags"] = "boxes"
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


class SeedSettings(Settings):
    """How annotations become first labels; see ``wsseg.seeds``.

    The ``grabcut`` settings hold for ``grabcut_votes`` too, unless it has its own.

    Attributes:
        name: A key of ``SEEDS``, or a plug-in's name.
        inner: ``box_inner``: the share of the box that keeps its class.
        inner_mode: ``box_inner``: whether ``inner`` is a share of the area or of each side.
        iterations: ``grabcut``: iterations a box.
        padding: ``grabcut`` sees the box and this share of its sides around it.
        max_side: ``grabcut``: larger crops are shrunk to this longer side in pixels.
        min_side: ``grabcut``: a box with a shorter side in pixels is filled, and no crop is shrunk
            so far that its box gets one.
        min_fill: ``grabcut``: a result below this share of the box's visible part has failed.
        frame: ``grabcut``: where less than this share of a crop is surely background, the box's
            outer frame, this share of its sides wide, is the first sample of background.
        votes: ``grabcut_votes``: perturbed runs a box.
        votes_side: ``grabcut_votes``: crops are shrunk to this longer side in pixels.
        votes_iterations: ``grabcut_votes``: GrabCut iterations a run.
        jitter: ``grabcut_votes``: each edge of the box moves by up to this share of its side.
        band: ``grabcut_votes``: range of the background around the box, a share of its sides.
        foreground_votes: ``grabcut_votes``: share of votes from which a pixel is foreground.
        background_votes: ``grabcut_votes``: share of votes below which a pixel is background.
        sources: ``intersection``: the two seeds that must agree.
        folder: ``folder``: label maps ``<id>.png`` from elsewhere (SAM, MCG, ...).
        edges: ``grabcut``: folder of edge-probability images ``<id>.png``, 0 to 255 (GrabCut+).
    """

    name: str = "grabcut"
    inner: float = Field(0.2, gt=0, le=1)
    inner_mode: Literal["area", "side"] = "area"
    iterations: int = Field(5, ge=1)
    padding: float = Field(0.5, gt=0)
    max_side: int = Field(400, ge=16)
    min_side: int = Field(9, ge=1)
    min_fill: float = Field(0.2, ge=0, lt=1)
    frame: float = Field(0.05, gt=0, lt=0.5)
    votes: int = Field(150, ge=1)
    votes_side: int = Field(96, ge=16)
    votes_iterations: int = Field(1, ge=1)
    jitter: float = Field(0.05, ge=0, lt=0.5)
    band: Annotated[tuple[PositiveFloat, PositiveFloat], _ORDERED] = (0.1, 0.6)
    foreground_votes: float = Field(0.7, gt=0, le=1)
    background_votes: float = Field(0.2, ge=0, lt=1)
    sources: tuple[str, str] = ("grabcut", "grabcut_votes")
    folder: Path | None = None
    edges: Path | None = None


class CRFSettings(Settings):
    """Dense CRF; names and defaults are those of pydensecrf and of IRN.

    Attributes:
        backend: A key of ``BACKENDS``: "native" is compiled at its first use, "torch" runs on a GPU
            where there is one, "pydensecrf" is the reference.
        gaussian_sxy: Standard deviation of the smoothness kernel, pixels.
        gaussian_compat: Weight of the smoothness kernel.
        bilateral_sxy: Standard deviation of the appearance kernel in space, pixels.
        bilateral_srgb: Standard deviation of the appearance kernel in colour, 0..255.
        bilateral_compat: Weight of the appearance kernel.
        iterations: Mean-field iterations; 0 switches the CRF off.
        scale: The inference runs at this share of the image's sides; 0.5 is the fast mode.
    """

    backend: str = "native"
    gaussian_sxy: float = Field(3, ge=0.1)
    gaussian_compat: float = Field(3, ge=0, le=1000)
    bilateral_sxy: float = Field(50, ge=0.1)
    bilateral_srgb: float = Field(5, ge=0.1)
    bilateral_compat: float = Field(10, ge=0, le=1000)
    iterations: int = Field(10, ge=0)
    scale: float = Field(1.0, ge=0.01, le=1)


class PARSettings(Settings):
    """Pixel-adaptive refinement; names and defaults are those of AFA, see ``PARParams``.

    Attributes:
        dilations: Distances of the neighbours, pixels.
        iterations: How often scores spread; 0 switches it off.
        colour_temperature: Smaller follows edges more strictly.
        position_temperature: Smaller prefers near neighbours.
        position_weight: Share of position beside colour's 1.
        exponent: Of both distances: 2 is a Gaussian, 1 an exponential.
        counts_itself: Whether the local deviation also covers the pixel itself.
    """

    dilations: tuple[PositiveInt, ...] = Field((1, 2, 4, 8, 12, 24), min_length=1)
    iterations: int = Field(10, ge=0)
    colour_temperature: float = Field(0.3, ge=0.001)
    position_temperature: float = Field(0.3, ge=0.001)
    position_weight: float = Field(0.01, ge=0)
    exponent: float = Field(2, ge=0.1, le=8)
    counts_itself: bool = False


class NetworkSettings(Settings):
    """An encoder and how images reach it.

    Attributes:
        weights: Encoder weights: a local file, a hub name such as "imagenet", or null for none.
        encoder_kwargs: Passed to the encoder, such as ``{pad_type: same}``.
        mean: Subtracted from images of 0..1, a channel.
        std: Then divided by, a channel.
        scale: Images are resized by this factor before the network sees them.
        frozen_blocks: First blocks of the encoder (timm's ``blocks``) that never train.
        freeze_batch_norm: Whether the encoder's normalisation keeps its pre-trained statistics;
            right for small batches and pre-trained weights only.
    """

    weights: str | None = "imagenet"
    encoder_kwargs: dict[str, Any] = {}
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = Field(1.0, gt=0)
    frozen_blocks: int = Field(0, ge=0)
    freeze_batch_norm: bool = False


class ModelSettings(NetworkSettings):
    """The segmenter's network; see ``wsseg.segmenter.model``.

    Attributes:
        architecture: A class of segmentation-models-pytorch, such as "DeepLabV3Plus".
        encoder: Its encoder's name, such as "tu-mobilenetv2_100".
        decoder_kwargs: Passed to the architecture, such as ``{decoder_channels: 128}``.
    """

    architecture: str = "DeepLabV3Plus"
    encoder: str = "resnet34"
    decoder_kwargs: dict[str, Any] = {}


class FitSettings(Settings):
    """A training.

    Attributes:
        steps: Optimizer steps a training.
        batch_size: Images a step, over all devices.
        crop: (H, W) of the training crops, pixels after the network's ``scale``.
        zoom: Range of the random resize.
        jitter: Strength of the colour jitter, 0 to 1.
        encoder_lr: Peak learning rate of the encoder.
        decoder_lr: Peak learning rate of the decoder and head.
        weight_decay: Of AdamW.
        gradient_clip: Largest gradient norm.
        checkpoint_every: Steps between the checkpoints that a killed training resumes from.
        loader_workers: Processes that load training images.
        accelerator: Passed to Lightning's trainer.
        devices: How many of this machine share each batch (DDP); "auto" is all.
        precision: Passed to Lightning's trainer; "auto" is mixed where there is a GPU.
    """

    steps: int = Field(1500, ge=1)
    batch_size: int = Field(8, ge=2)
    crop: tuple[PositiveInt, PositiveInt] = (320, 320)
    zoom: Annotated[tuple[PositiveFloat, PositiveFloat], _ORDERED] = (0.75, 1.5)
    jitter: float = Field(0.3, ge=0, le=1)
    encoder_lr: float = Field(3e-4, gt=0)
    decoder_lr: float = Field(1.5e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    gradient_clip: float = Field(5.0, gt=0)
    checkpoint_every: int = Field(200, ge=1)
    loader_workers: int = Field(0, ge=0)
    accelerator: str = "auto"
    devices: int | str = 1
    precision: str = "auto"


class TrainerSettings(FitSettings):
    """The one trainer of weak and full supervision.

    Attributes:
        loss: A key of ``LOSSES``: "ce", "focal", "dice" or "ce+dice".
    """

    loss: str = "ce"


class ClassifierTrainerSettings(FitSettings):
    """Training of the tag classifier.

    Attributes:
        erase: Share of the training crops of which a random rectangle is grayed, so that the
            classifier learns to see more than an object's most telling part.
    """

    steps: int = Field(1000, ge=1)
    erase: float = Field(0.0, ge=0, le=1)


class ClassifierSettings(NetworkSettings):
    """The classifier whose activation maps become seeds; see ``wsseg.seeds.classifier``.

    Attributes:
        encoder: A model of timm, such as "mobilenetv2_100" or "hf-hub:...".
        output_stride: Pixels a cell of its feature map, such as 16; null is the encoder's own.
        pooling: Class maps to scores: "gap" is their mean, "lse" a soft maximum.
        sharpness: ``lse``: towards 0 it is the mean, large it is the maximum.
        trainer: How it is trained.
    """

    encoder: str = "resnet50"
    output_stride: PositiveInt | None = None
    pooling: Literal["gap", "lse"] = "gap"
    sharpness: float = Field(4.0, gt=0)
    trainer: ClassifierTrainerSettings = ClassifierTrainerSettings()


class CAMSettings(Settings):
    """Class activation maps, and the first labels made from them; see ``wsseg.seeds.cam``.

    Attributes:
        method: "cam", "gradcam", "gradcam++", "layercam", or a plug-in's name.
        layer: Gradient methods: a submodule of the encoder, such as "blocks.5"; null is the feature
            map that the classifier's head sees.
        scales: Factors whose maps are summed.
        flip: Whether maps of the mirrored images are summed in.
        stride: Pixels of the image a cell of the stored maps.
        affinity: What the maps spread along before they become labels: "none", "par", or a
            random walk along "colour" or up to a "boundary"; see ``walk``.
        rule: Score of the background beside maps of 0 to 1: "constant", or "power" of 1 - maximum.
        foreground: Confident foreground: where the class beats this constant, or power.
        background: Confident background: where no class beats this constant, or power.
        refiner: What sharpens both: "crf", "par" or "none".
        confidence: ``crf``: probability that it is told of the class that is ahead; null tells it
            the maps themselves.
    """

    method: str = "cam"
    layer: str | None = None
    scales: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 1.5, 2.0), min_length=1)
    flip: bool = True
    stride: int = Field(4, ge=1, le=32)
    affinity: Literal["none", "par", "colour", "boundary"] = "colour"
    rule: Literal["constant", "power"] = "constant"
    foreground: float = Field(0.30, ge=0)
    background: float = Field(0.05, ge=0)
    refiner: Literal["crf", "par", "none"] = "crf"
    confidence: float | None = Field(0.7, gt=0.5, lt=1)


class WalkSettings(Settings):
    """The random walk of activation maps; names and defaults are those of ``WalkParams``.

    Attributes:
        radius: A step reaches cells closer than this.
        beta: More follows edges more strictly.
        t: The walk takes 2 ^ t steps.
        stride: Side of a cell, pixels.
        colour_sigma: Difference of colours in Lab units that makes a step unlikely.
    """

    radius: int = Field(5, ge=2)
    beta: float = Field(10, ge=0.001)
    t: int = Field(8, ge=0, le=20)
    stride: int = Field(4, ge=1)
    colour_sigma: float = Field(5, ge=0.001)


class PredictionSettings(Settings):
    """How label scores of an image are predicted.

    Attributes:
        scales: Factors whose predictions are averaged.
        flip: Whether mirrored images are averaged in.
        tile: Larger images are predicted in overlapping tiles of this side, pixels after scaling.
    """

    scales: tuple[PositiveFloat, ...] = Field((0.75, 1.0, 1.25), min_length=1)
    flip: bool = True
    tile: int = Field(1024, ge=64)


class RoundSettings(Settings):
    """The Simple Does It loop.

    Attributes:
        count: Rounds of training and cleaning.
        restart: Whether each round trains from the initial weights or continues.
        clean: False is the naive loop: predictions become labels as they are.
        refiner: What sharpens predictions before they become labels: "crf" or "par".
        reset_iou: A segment that covers its box worse than this goes back to its first label.
        min_island: Connected regions below this share of the image become IGNORE; 0 keeps all.
    """

    count: int = Field(3, ge=0)
    restart: bool = True
    clean: bool = True
    refiner: Literal["crf", "par"] = "crf"
    reset_iou: float = Field(0.5, ge=0, le=1)
    min_island: float = Field(0.0, ge=0, lt=1)


class Config(Settings):
    """All settings of a run.

    Attributes:
        pipeline: A shipped pipeline ("boxes", "full") or the path of a script of one's own.
        run_dir: The run's folder.
        seed: Of everything random.
        workers: Processes for the label stages; null is one a core.
        strict: Stop at the first bad image in place of setting it aside.
    """

    pipeline: str = "boxes"
    run_dir: Path
    seed: int = Field(0, ge=0)
    workers: int | None = Field(None, ge=1)
    strict: bool = False
    data: DataSettings
    seeds: SeedSettings = SeedSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    cam: CAMSettings = CAMSettings()
    walk: WalkSettings = WalkSettings()
    crf: CRFSettings = CRFSettings()
    par: PARSettings = PARSettings()
    model: ModelSettings = ModelSettings()
    trainer: TrainerSettings = TrainerSettings()
    prediction: PredictionSettings = PredictionSettings()
    rounds: RoundSettings = RoundSettings()
