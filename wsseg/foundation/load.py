"""Loading of foundation models with the package transformers, an extra."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch

from wsseg.errors import MachineError
from wsseg.foundation.weights import FoundationWeights
from wsseg.networks.weights import device_of

_LOADING = threading.Lock()


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model of transformers in eval mode, and the object that prepares its input.

    Attributes:
        model: Its class depends on the weights; without gradients.
        processor: Prepares images, prompts and texts.
    """

    weights: FoundationWeights
    model: Any
    processor: Any

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        device: torch.device = self.model.device
        return device


@contextmanager
def enough_memory(name: str) -> Iterator[None]:
    """Raise a MachineError in place of torch's error if the memory of the GPU does not suffice."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise MachineError(
            f"The memory of the GPU does not suffice for {name}",
            hint="choose a smaller model, end other programs, or set machine.device=cpu",
        ) from error


def check_installed(setting: str) -> None:
    """Raise a MachineError if the package transformers is not installed."""
    if find_spec("transformers") is None:
        raise MachineError(
            f"{setting} needs the package transformers, which is not installed",
            hint="pip install 'wsseg[foundation]'",
        )


def load_model(
    weights: FoundationWeights, device: str = "auto", attention: str | None = None
) -> LoadedModel:
    """Return a model with its weights; the last four stay in memory.

    Threads that ask for a model at the same time get the same one.

    Args:
        device: "auto" is the GPU if there is one; or "cpu" or "cuda".
        attention: Implementation of the attention; "eager" returns attention maps.

    Raises:
        MachineError: transformers is not installed, or the tensors do not fit the configuration.
    """
    check_installed(weights.name)
    # transformers changes settings of torch while it loads a model.
    with _LOADING:
        return _load(weights, device, attention)


@lru_cache(maxsize=4)
def _load(weights: FoundationWeights, device: str, attention: str | None) -> LoadedModel:
    # Importing transformers takes seconds, which other commands do without.
    import transformers  # noqa: PLC0415

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    own = {} if attention is None else {"attn_implementation": attention}
    kind, folder = weights.kind, str(weights.folder)
    try:
        model, report = getattr(transformers, kind.model).from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
            **own,
        )
        processor = getattr(transformers, kind.processor).from_pretrained(
            folder, local_files_only=True
        )
    except Exception as error:  # a damaged configuration can raise anything
        reason = " ".join(str(error).split())
        raise MachineError(
            f"{weights.name} cannot be loaded as {kind.model}: {reason:.300}",
            hint=f"download the model again to {folder}",
        ) from error
    if missing := sorted(report["missing_keys"]):
        rule = f"weights of a whole {kind.model}"
        rest = f" and {len(missing) - 1} more" if missing[1:] else ""
        got = f"a file without {missing[0]}{rest}"
        raise MachineError(weights.name, rule, got, "download it again, or name another model")
    model = model.eval().requires_grad_(False).to(device_of(device))
    return LoadedModel(weights, model, processor)
