"""Parameters of networks, their training and their predictions."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from wsseg.params import Params, Range


class NetworkParams(Params):
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
    encoder_kwargs: dict[str, Any] = Field(default_factory=dict)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = Field(1.0, gt=0)
    frozen_blocks: int = Field(0, ge=0)
    freeze_batch_norm: bool = False


class SegmenterParams(NetworkParams):
    """The segmenter's network; see ``wsseg.networks.segmenter``.

    Attributes:
        architecture: A class of segmentation-models-pytorch, such as "DeepLabV3Plus".
        encoder: Its encoder's name, such as "tu-mobilenetv2_100".
        decoder_kwargs: Passed to the architecture, such as ``{decoder_channels: 128}``.
    """

    architecture: str = "DeepLabV3Plus"
    encoder: str = "resnet34"
    decoder_kwargs: dict[str, Any] = Field(default_factory=dict)


class TrainingParams(Params):
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
        average: Decay, a step, of an exponential moving average of the weights, which is the result
            in place of the last weights; null averages nothing.
        checkpoint_every: Steps between the checkpoints that a killed training resumes from.
        loader_workers: Processes that load training images.
        accelerator: Passed to Lightning's trainer.
        devices: How many of each machine share each batch (DDP); "auto" is all.
        num_nodes: How many machines share each batch; see ``wsseg.runs.nodes``.
        precision: Passed to Lightning's trainer; "auto" is mixed where there is a GPU.
        compile: Whether the network is compiled by torch first: steps are faster after minutes of
            compilation; needs a C++ compiler.
    """

    steps: int = Field(1500, ge=1)
    batch_size: int = Field(8, ge=2)
    crop: tuple[PositiveInt, PositiveInt] = (320, 320)
    zoom: Range = (0.75, 1.5)
    jitter: float = Field(0.3, ge=0, le=1)
    encoder_lr: float = Field(3e-4, gt=0)
    decoder_lr: float = Field(1.5e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    gradient_clip: float = Field(5.0, gt=0)
    average: float | None = Field(None, gt=0, lt=1)
    checkpoint_every: int = Field(200, ge=1)
    loader_workers: int = Field(0, ge=0)
    accelerator: str = "auto"
    devices: int | str = 1
    num_nodes: int = Field(1, ge=1)
    precision: str = "auto"
    compile: bool = False


class GatedCRFParams(Params):
    """The loss ``gated_crf``; see there.

    Attributes:
        scale: Side of the square of pixels that becomes one coarse pixel.
        radius: Of the square window, coarse pixels.
        sxy: Standard deviation in space, coarse pixels.
        srgb: Standard deviation in colour, 0..1.
    """

    scale: int = Field(4, ge=1)
    radius: int = Field(5, ge=1)
    sxy: float = Field(6.0, ge=0.001)
    srgb: float = Field(0.1, ge=0.001)


class DenseCRFLossParams(Params):
    """The loss ``dense_crf``; see ``dense_crf_loss``.

    Attributes:
        scale: Of the grid that it is computed on.
        sxy: Standard deviation in space, pixels.
        srgb: Standard deviation in colour, 0..255.
    """

    scale: float = Field(0.5, ge=0.01, le=1)
    sxy: float = Field(100.0, ge=0.1)
    srgb: float = Field(15.0, ge=0.1)


class TreeEnergyParams(Params):
    """The loss ``tree_energy``; see there.

    Attributes:
        scale: Side of the square of pixels that becomes one coarse pixel.
        sigma: Of colours, 0..1: smaller follows edges more strictly.
        feature_sigma: Of the network's features.
    """

    scale: int = Field(2, ge=1)
    sigma: float = Field(0.005, ge=0.0001)
    feature_sigma: float = Field(1.0, ge=0.0001)


class AGMMParams(Params):
    """The loss ``agmm``; see there.

    Attributes:
        sigma: Of the Gaussians, in features of norm 1.
    """

    sigma: float = Field(0.5, ge=0.01)


class LossParams(Params):
    """Parameters of losses.

    Attributes:
        warm_up: Share of the steps before losses join that look at unlabelled pixels.
        focal_gamma: ``focal``: how much less sure pixels count.
    """

    warm_up: float = Field(0.1, ge=0, lt=1)
    focal_gamma: float = Field(2.0, ge=0)
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
    """The one trainer of weak and full supervision.

    Attributes:
        loss: Weights of losses by name, keys of ``LOSSES``, such as ``{ce: 1, gated_crf: 0.1}``; a
            name alone has weight 1.
        losses: Their parameters.
    """

    loss: LossWeights = Field({"ce": 1.0}, min_length=1)
    losses: LossParams = LossParams()


class ClassifierTrainingParams(TrainingParams):
    """Training of the tag classifier.

    Attributes:
        erase: Share of the training crops of which a random rectangle is grayed, so that the
            classifier learns to see more than an object's most telling part.
    """

    steps: int = Field(1000, ge=1)
    erase: float = Field(0.0, ge=0, le=1)


class ClassifierParams(NetworkParams):
    """The classifier whose activation maps become seeds; see ``wsseg.networks.classifier``.

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
    trainer: ClassifierTrainingParams = ClassifierTrainingParams()


class AffinityTrainingParams(TrainingParams):
    """Training of the affinity network."""

    steps: int = Field(250, ge=1)
    batch_size: int = Field(4, ge=2)


class AffinityParams(Params):
    """The network of ``cam.affinity: learned``; see ``wsseg.networks.affinity_net``.

    Attributes:
        foreground: It learns from confident labels: where a class beats this constant, ...
        background: ... and where none beats this constant, both after a CRF.
        width: Length of its vectors.
        trainer: How it is trained.
    """

    foreground: float = Field(0.30, ge=0)
    background: float = Field(0.05, ge=0)
    width: int = Field(32, ge=4, multiple_of=4)
    trainer: AffinityTrainingParams = AffinityTrainingParams()


class PredictionParams(Params):
    """How label scores of an image are predicted.

    Attributes:
        scales: Factors whose predictions are averaged.
        flip: Whether mirrored images are averaged in.
        tile: Larger images are predicted in overlapping tiles of this side, pixels after scaling.
    """

    scales: tuple[PositiveFloat, ...] = Field((0.75, 1.0, 1.25), min_length=1)
    flip: bool = True
    tile: int = Field(1024, ge=64)
