"""SAM in the stages of a run: which settings use it, and how a GPU encodes images in batches."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import read_sample_image
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.foundation.embeddings import load_cached_sam
from wsseg.foundation.weights import find_weights
from wsseg.networks.weights import device_of
from wsseg.parallel import Batches
from wsseg.runs.config import Config
from wsseg.seeds.params import SeedParams

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


def encoding_batches(config: Config, *, used: bool) -> Batches[Sample] | None:
    """Return how images are encoded in batches; None without a GPU, or if SAM is not used."""
    if not used or device_of(config.machine.device) != "cuda":
        return None
    return Batches(partial(_encode, config=config), config.seeds.sam.batch_size)


def _encode(samples: Sequence[Sample], config: Config) -> None:
    params = config.seeds.sam
    images = [image for sample in samples if (image := _readable(sample)) is not None]
    load_cached_sam(params.model, params.cache, config.machine.device).prepare(images)


def _readable(sample: Sample) -> NDArray[np.uint8] | None:
    try:
        return read_sample_image(sample)
    except InputError:  # the function that labels the image reports it
        return None


def candidates_path(folder: Path, identity: str) -> Path:
    """Return the figure of the masks that were compared for an image, in the folder of a stage."""
    return folder / "candidates" / f"{identity}.jpg"
