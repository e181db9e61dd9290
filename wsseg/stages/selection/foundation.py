"""Foundation models in place of an encoder."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.foundation.load import LoadedModel, check_installed, load_model
from wsseg.foundation.vectors import image_vector
from wsseg.foundation.weights import FoundationWeights, fetch_weights
from wsseg.stages.selection.encoders import unit_vector

_SETTING, _FAMILY = "--model", "CLIP, DINO or SAM"


@dataclass(frozen=True)
class FoundationEncoder:
    """A foundation model that maps an image to one vector."""

    loaded: LoadedModel

    def embed(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the vector (D,) float32 of an image (H, W, 3) uint8 RGB, scaled to length 1.

        Raises:
            InputError: The vector is 0 or not finite.
        """
        return unit_vector(image_vector(self.loaded, image))


@dataclass(frozen=True)
class FoundationSource:
    """The weights of a foundation model, from which each worker process loads it.

    Args:
        device: As ``machine.device``.
    """

    weights: FoundationWeights
    device: str = field(default="auto", compare=False)

    def key(self) -> dict[str, Any]:
        """Return everything that the vectors depend on, for the key of a stage."""
        return {"model": self.weights.record()}

    def describe(self) -> str:
        """Return the name, type and licence of the model."""
        return f"{self.weights.name} ({self.weights.model_type}, licence {self.weights.licence})"

    def load(self) -> FoundationEncoder:
        """Return the model, on the GPU if there is one.

        Raises:
            InputError: Its tensors do not fit.
        """
        return FoundationEncoder(load_model(self.weights, self.device))


def foundation_source(model: str, device: str = "auto") -> FoundationSource:
    """Return a model of the family CLIP, DINO or SAM; it is downloaded if need be.

    Args:
        model: A folder, or a name on the hub.

    Raises:
        InputError: transformers is not installed, or the weights cannot be found or used.
    """
    check_installed(_SETTING)
    return FoundationSource(fetch_weights(model, _FAMILY, _SETTING), device)
