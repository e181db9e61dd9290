"""Frozen encoders: an image becomes one vector."""

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
from wsseg.networks.batches import normalised
from wsseg.networks.classifier import build_classifier, check_classifier
from wsseg.networks.params import ClassifierParams, NetworkParams, SegmenterParams
from wsseg.networks.prediction import load_segmenter
from wsseg.networks.segmenter import build_network, check_network, output_stride
from wsseg.networks.weights import device_of
from wsseg.runs.config import Config

Section = Literal["classifier", "model", "run"]
"""Where an encoder comes from: one of timm or of segmentation-models-pytorch with pre-trained
weights, as these sections of the settings say, or the one that a run has trained."""

SECTIONS: tuple[Section, ...] = ("classifier", "model", "run")


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder that no longer learns.

    Args:
        body: Maps (1, 3, h, w) images to (1, D, h', w') features, or to a list of which these are
            the last; in eval mode.
        settings: Scale, mean and std of its input.
        multiple: The sides of its input are multiples of this many pixels.
    """

    body: nn.Module
    settings: NetworkParams
    multiple: int = 1

    def embed(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the mean over the last feature map, at length 1.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (D,) float32.

        Raises:
            InputError: The features are 0 everywhere or not finite.
        """
        device = next(self.body.parameters()).device
        with torch.inference_mode():
            found = self.body(self._input(image, device))
        features: Tensor = found[-1] if isinstance(found, list | tuple) else found
        mean = features[0].float().mean(dim=(1, 2))
        length = float(mean.norm())
        if not 0 < length < float("inf"):
            remedy = "look at the image, or choose another encoder"
            raise InputError("features", "finite and not all 0", f"of length {length}", remedy)
        vector: NDArray[np.float32] = (mean / length).cpu().numpy()
        return vector

    def _input(self, image: NDArray[np.uint8], device: torch.device) -> Tensor:
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device)
        cells = [round(side * self.settings.scale / self.multiple) for side in image.shape[:2]]
        size = [max(1, count) * self.multiple for count in cells]
        whole = normalised(pixels, self.settings)
        resized = functional.interpolate(whole, size, mode="bilinear", antialias=True)
        return resized.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class EncoderSource:
    """Which encoder is wanted; made anew in each worker process.

    Args:
        section: Where it comes from.
        settings: Of its network.
        checkpoint: The run's segmenter, for "run".
        device: "cpu" keeps it off the GPU.
    """

    section: Section
    settings: ClassifierParams | SegmenterParams
    checkpoint: Path | None = None
    device: str = field(default="auto", compare=False)

    def __hash__(self) -> int:
        return hash((self.section, self.settings.model_dump_json(), self.checkpoint))

    def key(self) -> dict[str, Any]:
        """Return what its vectors depend on, as JSON can hold it."""
        unused = {"trainer", "pooling", "sharpness", "frozen_blocks", "freeze_batch_norm"}
        weights = self.checkpoint or Path(self.settings.weights or "")
        return {
            "section": self.section,
            "network": self.settings.model_dump(mode="json", exclude=unused),
            "weights": fingerprint(weights),
        }

    def describe(self) -> str:
        """Return which encoder it is, for a person."""
        weights = self.checkpoint or self.settings.weights or "random weights"
        return f"{self.settings.encoder} ({weights})"

    def check(self) -> None:
        """Refuse settings that no encoder can be built from, without making weights.

        Raises:
            InputError: An unknown encoder or argument, or a missing weight file.
        """
        if isinstance(self.settings, ClassifierParams):
            check_classifier(self.settings)
        elif self.checkpoint is None:
            check_network(self.settings)

    def load(self) -> FrozenEncoder:
        """Return the encoder, on the GPU where there is one.

        Without weights it is initialised at random, every time the same.

        Returns:
            The encoder, in eval mode.

        Raises:
            InputError: It cannot be built, or its weights are missing or do not fit.
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
            if isinstance(self.settings, ClassifierParams):
                return build_classifier(self.settings, 1), "encoder", 1
            network = build_network(self.settings, 2)
            return network, "encoder", output_stride(network)


def encoder_source(
    config: Config, section: str | None = None, checkpoint: Path | None = None
) -> EncoderSource:
    """Return the encoder that settings ask for.

    Args:
        config: Its sections ``classifier`` and ``model``.
        section: One of ``SECTIONS``; None is "run" where there is a checkpoint, else the section
            that the settings have, "classifier" before "model".
        checkpoint: A run's segmenter.

    Returns:
        The source.

    Raises:
        InputError: An unknown section, or "run" without a checkpoint.
    """
    if section is None:
        only_model = config.model_fields_set & {"classifier", "model"} == {"model"}
        section = "run" if checkpoint else "model" if only_model else "classifier"
    if section == "run":
        if checkpoint is None:
            raise InputError("--encoder run", "given with a --run", "none", "name the run")
        settings = load_segmenter(checkpoint, "cpu").settings
        return EncoderSource("run", settings, checkpoint, config.machine.device)
    if section == "classifier":
        return EncoderSource("classifier", config.classifier, None, config.machine.device)
    if section == "model":
        return EncoderSource("model", config.model, None, config.machine.device)
    remedy = "choose one of them"
    raise InputError("--encoder", f"one of {', '.join(SECTIONS)}", repr(section), remedy)
