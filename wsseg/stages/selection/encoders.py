"""Frozen encoders, which map an image to one vector."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.files import fingerprint
from wsseg.networks.batches import normalize
from wsseg.networks.classifier import build_classifier, check_classifier
from wsseg.networks.params import ClassifierNetworkParams, NetworkParams, SegmenterParams
from wsseg.networks.prediction import load_segmenter
from wsseg.networks.segmenter import build_network, check_network, output_stride
from wsseg.networks.weights import device_of
from wsseg.runs.config import Config

Section = Literal["classifier", "model", "run"]
"""Sources of an encoder: the sections ``classifier`` (timm) or ``model``
(segmentation-models-pytorch) of the settings, or a trained run."""


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder in eval mode.

    Args:
        body: Maps images (1, 3, h, w) to features (1, D, h', w'), to a list whose last element
            they are, or to a tuple of such a list and the tokens of a vision transformer.
        settings: Scale, mean and standard deviation of the input.
        multiple: The sides of the input are multiples of this number of pixels.
    """

    body: nn.Module
    settings: NetworkParams
    multiple: int = 1

    def embed(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the mean of the last feature map, scaled to length 1.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (D,) float32.

        Raises:
            InputError: The features are 0 everywhere or not finite.
        """
        device = next(self.body.parameters()).device
        with torch.inference_mode():
            output = self.body(self._input(image, device))
        maps = output[0] if isinstance(output, tuple) else output
        features: Tensor = maps[-1] if isinstance(maps, list) else maps
        return unit_vector(features[0].float().mean(dim=(1, 2)).cpu().numpy())

    def _input(self, image: NDArray[np.uint8], device: torch.device) -> Tensor:
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device)
        cells = [round(side * self.settings.scale / self.multiple) for side in image.shape[:2]]
        size = [max(1, count) * self.multiple for count in cells]
        colours = normalize(pixels, self.settings)
        resized = functional.interpolate(colours, size, mode="bilinear", antialias=True)
        return resized.contiguous(memory_format=torch.channels_last)


def unit_vector(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a vector (D,) float32 scaled to length 1.

    Raises:
        InputError: It is 0 or not finite.
    """
    length = float(np.linalg.norm(features))
    if not 0 < length < np.inf:
        message = f"The features must be finite and not all 0, but have length {length}"
        raise InputError(message, hint="check the image, or choose another encoder")
    return np.asarray(features / length, np.float32)


@dataclass(frozen=True)
class EncoderSource:
    """The description of an encoder, from which each worker process loads it.

    Args:
        settings: Settings of the network that the encoder belongs to.
        checkpoint: Segmenter of the run, for the section "run".
        device: "cpu" keeps the encoder off the GPU.
    """

    section: Section
    settings: ClassifierNetworkParams | SegmenterParams
    checkpoint: Path | None = None
    device: str = field(default="auto", compare=False)

    def __hash__(self) -> int:
        return hash((self.section, self.settings.model_dump_json(), self.checkpoint))

    def key(self) -> dict[str, Any]:
        """Return everything that the vectors depend on, for the key of a stage."""
        unused = {"preset", "frozen_blocks", "freeze_batch_norm"}
        weights = self.checkpoint or Path(self.settings.weights or "")
        return {
            "section": self.section,
            "network": self.settings.model_dump(mode="json", exclude=unused),
            "weights": fingerprint(weights),
        }

    def describe(self) -> str:
        """Return the name of the encoder and the source of its weights."""
        weights = self.checkpoint or self.settings.weights or "random weights"
        return f"{self.settings.encoder} ({weights})"

    def check(self) -> None:
        """Check that the encoder can be built, without allocating its weights.

        Raises:
            InputError: The encoder or an argument is unknown, or the weight file is missing.
        """
        if isinstance(self.settings, ClassifierNetworkParams):
            check_classifier(self.settings)
        elif self.checkpoint is None:
            check_network(self.settings)

    def load(self) -> FrozenEncoder:
        """Return the encoder, on the GPU if there is one.

        Without pre-trained weights its random initialisation is always the same.

        Raises:
            InputError: The encoder cannot be built, or its weights are missing or do not fit.
        """
        network, name, multiple = self._network()
        body = network.get_submodule(name).to(device_of(self.device))
        return FrozenEncoder(body.eval(), self.settings, multiple)

    def _network(self) -> tuple[nn.Module, str, int]:
        if self.checkpoint is not None:
            network = load_segmenter(self.checkpoint, self.device).network
            return network, "encoder", output_stride(network)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            if isinstance(self.settings, ClassifierNetworkParams):
                return build_classifier(self.settings, 1), "encoder", 1
            network = build_network(self.settings, 2)
            return network, "encoder", output_stride(network)


def encoder_source(
    config: Config, section: Section | None = None, checkpoint: Path | None = None
) -> EncoderSource:
    """Return the encoder that the settings describe.

    Args:
        section: By default "run" if there is a checkpoint, else the section that the settings have,
            "classifier" before "model".
        checkpoint: Segmenter of a run.

    Raises:
        InputError: The section is "run" and there is no checkpoint.
    """
    if section is None:
        only_model = config.model_fields_set & {"classifier", "model"} == {"model"}
        section = "run" if checkpoint else "model" if only_model else "classifier"
    if section == "run":
        if checkpoint is None:
            raise InputError("The encoder of a run needs a run", hint="name it")
        settings = load_segmenter(checkpoint, "cpu").params
        return EncoderSource("run", settings, checkpoint, config.machine.device)
    if section == "classifier":
        return EncoderSource(
            "classifier", config.classifier.network(config.model), None, config.machine.device
        )
    return EncoderSource("model", config.model, None, config.machine.device)
