"""Parameters of networks, their training and their predictions."""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
)

from wsseg.params import Params, Range


class NetworkParams(Params):
    """An encoder and how images reach it."""

    weights: str | None = "imagenet"
    """Encoder weights: a local file, a hub name such as "imagenet", or null for none."""
    encoder_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Passed to the encoder, such as ``{pad_type: same}``."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted from images of 0..1, a channel."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Then divided by, a channel."""
    scale: float = Field(1.0, gt=0)
    """Images are resized by this factor before the network sees them."""
    frozen_blocks: int = Field(0, ge=0)
    """First blocks of the encoder (timm's ``blocks``) that never train."""
    freeze_batch_norm: bool = False
    """Whether the encoder's normalisation keeps its pre-trained statistics; right for small batches
    and pre-trained weights only.
    """


class SegmenterParams(NetworkParams):
    """The segmenter's network; see ``wsseg.networks.segmenter``."""

    architecture: str = "DeepLabV3Plus"
    """A class of segmentation-models-pytorch, such as "DeepLabV3Plus"."""
    encoder: str = "resnet34"
    """Its encoder's name, such as "tu-mobilenetv2_100"."""
    decoder_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Passed to the architecture, such as ``{decoder_channels: 128}``."""


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
    """"auto" joins the cluster that this machine belongs to, "host:6379" the one of that head node;
    null starts one on this machine.
    """
    gpus: float = Field(0.0, ge=0)
    """Share of a GPU that an image of a label stage takes, such as 0.25 for four at a time on each;
    0 uses CPUs only.
    """
    nodes: int = Field(1, ge=1)
    """Machines that share the batches of each training."""


class MachineParams(Params):
    """Where a run computes; shared by all networks and label stages."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """"auto" is the GPU if there is one."""
    devices: PositiveInt | Literal["auto"] = 1
    """Devices of each machine that share the batches of a training; "auto" is all of them."""
    precision: str = "auto"
    """Precision of trainings, one of Lightning's; "auto" is mixed on a GPU."""
    workers: AutoPositive = None
    """Processes of the label stages; "auto" is one per core. On a cluster, the largest number of
    images in progress.
    """
    loader_workers: AutoNonNegative = None
    """Processes that load training images; "auto" is none for a CPU, and one per core, 8 at most,
    for a GPU.
    """
    compile: bool = False
    """Compile networks with torch before a training: steps are faster after minutes of compilation.
    Needs a C++ compiler.
    """
    engine: Literal["local", "ray"] = "local"
    """"local" runs on this machine, "ray" on a cluster. The labels are the same."""
    ray: RayParams = RayParams()

    @property
    def numerics(self) -> dict[str, Any]:
        """The settings that can change the weights of a trained network."""
        return self.model_dump(include={"device", "devices", "precision", "compile"})


class TrainingParams(Params):
    """A training."""

    steps: int = Field(1500, ge=1)
    """Optimizer steps a training."""
    batch_size: int = Field(8, ge=2)
    """Images a step, over all devices."""
    crop: tuple[PositiveInt, PositiveInt] = (320, 320)
    """(H, W) of the training crops, pixels after the network's ``scale``."""
    zoom: Range = (0.75, 1.5)
    """Range of the random resize."""
    jitter: float = Field(0.3, ge=0, le=1)
    """Strength of the colour jitter, 0 to 1."""
    encoder_lr: float = Field(3e-4, gt=0)
    """Peak learning rate of the encoder."""
    decoder_lr: float = Field(1.5e-3, gt=0)
    """Peak learning rate of the decoder and head."""
    average: float | None = Field(None, gt=0, lt=1)
    """Decay, a step, of an exponential moving average of the weights, which is the result in place
    of the last weights; null averages nothing.
    """
    checkpoint_every: int = Field(200, ge=1)
    """Steps between the checkpoints that a killed training resumes from."""


class GatedCRFParams(Params):
    """The loss ``gated_crf``; see there."""

    scale: int = Field(4, ge=1)
    """Side of the square of pixels that becomes one coarse pixel."""
    radius: int = Field(5, ge=1)
    """Of the square window, coarse pixels."""
    sxy: float = Field(6.0, ge=0.001)
    """Standard deviation in space, coarse pixels."""
    srgb: float = Field(0.1, ge=0.001)
    """Standard deviation in colour, 0..1."""


class DenseCRFLossParams(Params):
    """The loss ``dense_crf``; see ``dense_crf_loss``."""

    scale: float = Field(0.5, ge=0.01, le=1)
    """Of the grid that it is computed on."""
    sxy: float = Field(100.0, ge=0.1)
    """Standard deviation in space, pixels."""
    srgb: float = Field(15.0, ge=0.1)
    """Standard deviation in colour, 0..255."""


class TreeEnergyParams(Params):
    """The loss ``tree_energy``; see there."""

    scale: int = Field(2, ge=1)
    """Side of the square of pixels that becomes one coarse pixel."""
    sigma: float = Field(0.005, ge=0.0001)
    """Of colours, 0..1: smaller follows edges more strictly."""
    feature_sigma: float = Field(1.0, ge=0.0001)
    """Of the network's features."""


class AGMMParams(Params):
    """The loss ``agmm``; see there."""

    sigma: float = Field(0.5, ge=0.01)
    """Of the Gaussians, in features of norm 1."""


class LossParams(Params):
    """Parameters of losses."""

    warm_up: float = Field(0.1, ge=0, lt=1)
    """Share of the steps before losses join that look at unlabelled pixels."""
    focal_gamma: float = Field(2.0, ge=0)
    """``focal``: how much less sure pixels count."""
    gated_crf: GatedCRFParams = GatedCRFParams()
    dense_crf: DenseCRFLossParams = DenseCRFLossParams()
    tree_energy: TreeEnergyParams = TreeEnergyParams()
    agmm: AGMMParams = AGMMParams()


def _weighed(loss: Any) -> Any:
    return {loss: 1.0} if isinstance(loss, str) else loss


LossWeights = Annotated[
    dict[str, Annotated[PositiveFloat, Field(allow_inf_nan=False)]], BeforeValidator(_weighed)
]
"""Weights of losses by name, keys of ``LOSSES``; a name alone has weight 1."""


class SegmenterTrainingParams(TrainingParams):
    """The one trainer of weak and full supervision."""

    loss: LossWeights = Field({"ce": 1.0}, min_length=1)
    """Weights of losses by name, keys of ``LOSSES``, such as ``{ce: 1, gated_crf: 0.1}``; a name
    alone has weight 1.
    """
    losses: LossParams = LossParams()
    """Their parameters."""


class ClassifierTrainingParams(TrainingParams):
    """Training of the tag classifier."""

    steps: int = Field(1000, ge=1)
    erase: float = Field(0.0, ge=0, le=1)
    """Share of the training crops of which a random rectangle is grayed, so that the classifier
    learns to see more than an object's most telling part.
    """


class ClassifierParams(NetworkParams):
    """The classifier whose activation maps become seeds; see ``wsseg.networks.classifier``."""

    encoder: str = "resnet50"
    """A model of timm, such as "mobilenetv2_100" or "hf-hub:..."."""
    output_stride: PositiveInt | None = None
    """Pixels a cell of its feature map, such as 16; null is the encoder's own."""
    pooling: Literal["gap", "lse"] = "gap"
    """Class maps to scores: "gap" is their mean, "lse" a soft maximum."""
    sharpness: float = Field(4.0, gt=0)
    """``lse``: towards 0 it is the mean, large it is the maximum."""
    trainer: ClassifierTrainingParams = ClassifierTrainingParams()
    """How it is trained."""


class AffinityTrainingParams(TrainingParams):
    """Training of the affinity network."""

    steps: int = Field(250, ge=1)
    batch_size: int = Field(4, ge=2)


class AffinityParams(Params):
    """The network of ``cam.affinity: learned``; see ``wsseg.networks.affinity_net``."""

    foreground: float = Field(0.30, ge=0)
    """It learns from confident labels: where a class beats this constant, ..."""
    background: float = Field(0.05, ge=0)
    """... and where none beats this constant, both after a CRF."""
    width: int = Field(32, ge=4, multiple_of=4)
    """Length of its vectors."""
    trainer: AffinityTrainingParams = AffinityTrainingParams()
    """How it is trained."""


class PredictionParams(Params):
    """How label scores of an image are predicted."""

    scales: tuple[PositiveFloat, ...] = Field((0.75, 1.0, 1.25), min_length=1)
    """Factors whose predictions are averaged."""
    flip: bool = True
    """Whether mirrored images are averaged in."""
    tile: int = Field(1024, ge=64)
    """Larger images are predicted in overlapping tiles of this side, pixels after scaling."""
