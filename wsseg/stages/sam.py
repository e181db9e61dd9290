"""SAM in the stages of a run: which settings use it, and how a GPU encodes images in batches."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.foundation.embeddings import load_cached_sam
from wsseg.foundation.params import SamParams
from wsseg.foundation.weights import find_weights
from wsseg.networks.weights import device_of
from wsseg.parallel import Batches, Identified
from wsseg.runs.config import Config
from wsseg.seeds.params import SeedParams

Item = TypeVar("Item", bound=Identified)

SAM = "sam"
"""Name of the seed and of the refiner."""


def seeds_use_sam(seeds: SeedParams) -> bool:
    """Return whether a SAM model makes first labels with these settings.

    Example:
        >>> seeds_use_sam(SeedParams(boxes="sam")), seeds_use_sam(SeedParams(name="box"))
        (True, False)
    """
    used = {
        "auto": (seeds.boxes, seeds.strokes),
        "intersection": seeds.sources,
    }
    return SAM in used.get(seeds.name, (seeds.name,))


def weights_record(config: Config, *, used: bool) -> dict[str, Any] | None:
    """Return what identifies the SAM model of a run, for the key of a stage that uses it."""
    if not used:
        return None
    return find_weights(config.seeds.sam.model, "SAM", "seeds.sam.model").record()


def encoding_batches(
    params: SamParams,
    device: str,
    read: Callable[[Item], NDArray[np.uint8]],
    *,
    used: bool,
) -> Batches[Item] | None:
    """Return how images are encoded in batches; None without a GPU, or if SAM is not used.

    Args:
        device: ``machine.device``.
        read: Reads the image (H, W, 3) uint8 of an item.
    """
    if not used or device_of(device) != "cuda":
        return None
    return Batches(partial(_encode, params=params, device=device, read=read), params.batch_size)


def _encode(
    items: Sequence[Item],
    params: SamParams,
    device: str,
    read: Callable[[Item], NDArray[np.uint8]],
) -> None:
    images = []
    for item in items:
        with suppress(InputError):  # the function that labels the image reports it
            images.append(read(item))
    load_cached_sam(params.model, params.cache, device).prepare(images)


def candidates_path(folder: Path, identity: str) -> Path:
    """Return the figure of the masks that were compared for an image, in the folder of a stage."""
    return folder / "candidates" / f"{identity}.jpg"
