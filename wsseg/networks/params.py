"""Parameters of networks, of their training and of their predictions."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from wsseg.params import Params, Range

_HALF = (0.5, 0.5, 0.5)
PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "architecture": "Segformer",
        "encoder": "tu-mobilenetv2_100",
        "weights": None,
        "decoder_kwargs": {"decoder_segmentation_channels": 64},
        "mean": _HALF,
        "std": _HALF,
    },
    "mobilenetv2": {
        "architecture": "Segformer",
        "encoder": "tu-mobilenetv2_100",
        "encoder_kwargs": {"pad_type": "same"},
        "decoder_kwargs": {"decoder_segmentation_channels": 128},
        "mean": _HALF,
        "std": _HALF,
        "scale": 0.5,
        "frozen_blocks": 2,
        "freeze_batch_norm": True,
    },
    "resnet50": {"architecture": "DeepLabV3Plus", "encoder": "resnet50", "weights": "imagenet"},
}
"""Networks by name: "demo" trains from random weights within a minute, "mobilenetv2" trains on a
CPU from the weights of TF-Slim, "resnet50" is for a GPU.
"""


def _check_preset(name: str | None) -> str | None:
    if name is not None and name not in PRESETS:
        raise ValueError(f"one of {', '.join(PRESETS)}")
    return name


FrozenBlocks = NonNegativeInt | Literal["all"]
"""A number of blocks, or the whole encoder."""


class NetworkParams(Params):
    """An encoder and the preparation of its input."""

    weights: str | None = "imagenet"
    """Initial weights of the encoder: a local file, a name such as "imagenet" (downloaded once), or
    null for random weights. Encoders of timm have one set of weights, whatever the name.
    """
    encoder_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the encoder, such as ``{pad_type: same}``."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of the R, G and B values (0..1), which is subtracted from images: that of the weights.
    The default is that of ImageNet, DINOv2, DINOv3 and SAM.
    """
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Standard deviation of the R, G and B values, by which images are divided."""
    scale: float = Field(1.0, gt=0)
    """Factor by which images are resized before the network; predictions are resized back."""
    frozen_blocks: FrozenBlocks = 0
    """Number of the encoder's first blocks (timm's ``blocks``) that are not trained, or "all" for
    an encoder that is not trained.
    """
    freeze_batch_norm: bool = False
    """Keep the batch normalisation statistics of the pre-trained encoder, as for small batches."""


class SegmenterParams(NetworkParams):
    """The segmentation network.

    Example:
        >>> SegmenterParams(preset="demo", scale=0.5).architecture
        'Segformer'
    """

    preset: Annotated[str | None, AfterValidator(_check_preset)] = None
    """"demo", "mobilenetv2" or "resnet50": values for settings of ``model`` that are not given."""
    architecture: str = "DeepLabV3Plus"
    """A segmentation network of segmentation-models-pytorch, such as "Unet" or "Segformer"; "DPT"
    for a vision transformer; "Linear" for one linear layer on the features of any model of timm.
    """
    encoder: str = "resnet34"
    """An encoder of segmentation-models-pytorch, or "tu-" and a model of timm, such as
    "tu-mobilenetv2_100" or "tu-vit_small_patch14_dinov2".
    """
    decoder_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the architecture, such as ``{decoder_channels: 128}``."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: Any) -> Any:
        name = values.get("preset") if isinstance(values, dict) else None
        return {**PRESETS[name], **values} if name in PRESETS else values


class ClassifierNetworkParams(NetworkParams):
    """The network of a tag classifier; see ``ClassifierParams.network``."""

    encoder: str = "resnet50"
    """A model of timm, such as "mobilenetv2_100" or "hf-hub:..."."""
    output_stride: PositiveInt | None = None
    """Side in pixels of a cell of the feature map, such as 16; null is that of the encoder."""


def _none_if_auto(value: object) -> object:
    return None if value == "auto" else value


_AUTO = (BeforeValidator(_none_if_auto), PlainSerializer(lambda n: "auto" if n is None else n))
AutoPositive = Annotated[PositiveInt | None, *_AUTO]
"""A positive number; "auto" becomes None."""
AutoNonNegative = Annotated[NonNegativeInt | None, *_AUTO]
"""A number of at least 0; "auto" becomes None."""


class RayParams(Params):
    """The cluster of ``machine.engine: ray``."""

    address: str | None = None
    """Address of the head node, such as "host:6379"; "auto" is the cluster that this machine
    belongs to, null starts a new one on this machine.
    """
    gpus: float = Field(0.0, ge=0)
    """Share of a GPU that the labelling of one image reserves, such as 0.25 for four images at a
    time on each GPU; 0 labels images on CPUs.
    """
    nodes: int = Field(1, ge=1)
    """Number of machines that share the batches of each training."""


class MachineParams(Params):
    """The hardware that a run uses."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the networks; "auto" is the GPU if there is one."""
    devices: PositiveInt | Literal["auto"] = 1
    """Number of GPUs (or CPU processes) of each machine that share the batches of a training;
    "auto" is all of them.
    """
    precision: str = "auto"
    """Numeric precision of trainings, one of Lightning's, such as "32-true" or "bf16-mixed";
    "auto" is mixed precision on a GPU and 32 bits on a CPU.
    """
    workers: AutoPositive = None
    """Number of processes that label images in parallel; "auto" is one per core. On a cluster, the
    largest number of images in progress.
    """
    loader_workers: AutoNonNegative = None
    """Number of processes that load training images; "auto" is 0 for a CPU, and one per core, at
    most 8, for a GPU.
    """
    checkpoint_every: int = Field(200, ge=1)
    """Number of steps between checkpoints; an interrupted training resumes from the last one."""
    compile: bool = False
    """Compile networks with torch before a training: steps are faster after minutes of compilation.
    Needs a C++ compiler.
    """
    engine: Literal["local", "ray"] = "local"
    """"local" uses this machine, "ray" a cluster; both give the same labels."""
    ray: RayParams = RayParams()

    @property
    def numerics(self) -> dict[str, Any]:
        """The settings that can change the weights of a trained network."""
        return self.model_dump(include={"device", "devices", "precision", "compile"})


class TrainingParams(Params):
    """Parameters of the training of a network."""

    steps: int = Field(1500, ge=1)
    """Number of optimizer steps."""
    batch_size: int = Field(8, ge=2)
    """Number of images per step, over all devices."""
    crop: tuple[PositiveInt, PositiveInt] = (320, 320)
    """(H, W) of the training crops, in pixels of the network's input."""
    zoom: Range = (0.75, 1.5)
    """Range of the random factor by which each training image is resized."""
    encoder_lr: float = Field(3e-4, gt=0)
    """Peak learning rate of the encoder."""
    decoder_lr: float = Field(1.5e-3, gt=0)
    """Peak learning rate of all other layers."""


def _weights_of(loss: Any) -> Any:
    return {loss: 1.0} if isinstance(loss, str) else loss


LossWeights = Annotated[
    dict[str, Annotated[PositiveFloat, Field(allow_inf_nan=False)]], BeforeValidator(_weights_of)
]
"""Weights of losses by name, keys of ``LOSSES``; a name alone has weight 1."""


class SegmenterTrainingParams(TrainingParams):
    """Parameters of the training of the segmenter."""

    average: float | None = Field(None, gt=0, lt=1)
    """Decay per step of an exponential moving average of the weights, such as 0.99; the average is
    the trained network. Null uses the last weights.
    """
    loss: LossWeights | None = Field(None, min_length=1)
    """Losses and their weights, such as ``{ce: 1, gated_crf: 0.1}``; a name alone has weight 1. Of
    labelled pixels: ce, partial_ce, focal, dice; of the others: gated_crf, dense_crf, tree_energy,
    agmm; of boxes: tightness, which is 0 without boxes. Null is ``{ce: 1, tightness: 0.1}``, and
    ``{partial_ce: 1, tree_energy: 0.4, tightness: 0.1}`` in a round whose images are labelled in
    less than 90 % of their pixels, such as the first one after points and scribbles.
    """


def _check_folds(folds: int) -> int:
    if folds not in (0, 2, 3, 4, 5):
        raise ValueError("0, or 2 to 5")
    return folds


Folds = Annotated[int, AfterValidator(_check_folds)]
"""Number of networks, each of which predicts what it has not learned from; 0 trains none."""


class ZoomParams(Params):
    """Networks that see every object at the same size and improve the first labels of boxes.

    Each network learns from the box crops of the images outside of its part, and labels those of
    its part. The other settings of its training are those of ``model`` and ``trainer``.
    """

    folds: Folds = 0
    """Number of networks and of parts of the images, 2 to 5; 0 trains none."""
    side: int = Field(128, ge=16)
    """Longer side in pixels to which each box is resized, with a quarter more around it."""
    steps: int = Field(300, ge=1)
    """Number of optimizer steps of each network."""


class ClassifierTrainingParams(TrainingParams):
    """Parameters of the training of the tag classifier."""

    steps: int = Field(1000, ge=1)


class ClassifierParams(Params):
    """The classifier that learns image tags; its activation maps become first labels.

    The weights, normalisation and, unless named here, the encoder are those of ``model``.
    """

    encoder: str | None = None
    """A network of timm, such as "mobilenetv2_100"; null is the encoder of ``model``."""
    output_stride: PositiveInt | None = None
    """Side in pixels of a cell of the feature map, such as 16; null is that of the encoder."""
    frozen_blocks: FrozenBlocks = 0
    """Number of the encoder's first blocks (timm's ``blocks``) that are not trained, or "all" for
    an encoder that is not trained.
    """
    trainer: ClassifierTrainingParams = ClassifierTrainingParams()

    def network(self, model: SegmenterParams) -> ClassifierNetworkParams:
        """Return the parameters of the classifier's network beside a segmenter's.

        Example:
            >>> ClassifierParams().network(SegmenterParams(preset="mobilenetv2")).encoder
            'mobilenetv2_100'
        """
        return ClassifierNetworkParams(
            encoder=self.encoder or model.encoder.removeprefix("tu-"),
            encoder_kwargs={} if self.encoder else model.encoder_kwargs,
            **model.model_dump(include={"weights", "mean", "std", "freeze_batch_norm"}),
            **self.model_dump(include={"output_stride", "frozen_blocks"}),
        )


class PredictionParams(Params):
    """Parameters of the prediction of class scores."""

    scales: tuple[PositiveFloat, ...] = Field((1.0, 1.5), min_length=1)
    """Factors of the image size; the predictions at all of them are averaged."""
    flip: bool = True
    """Average with the predictions of the mirrored image."""
