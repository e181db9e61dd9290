"""Pixel label maps and a trained segmenter from cheap annotations.

The names in ``__all__`` are the public API and are imported when they are first used; everything
else is internal and may move.

Example:
    >>> import wsseg
    >>> wsseg.IGNORE
    255
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsseg.api import clean, load_dataset, load_segmenter, load_truth, seed, show
    from wsseg.data.constraints import Constraints
    from wsseg.data.model import Dataset
    from wsseg.labelmaps import IGNORE
    from wsseg.metrics.segmentation import evaluate
    from wsseg.refine.crf.dense import dense_crf
    from wsseg.runs.recipes import run
    from wsseg.runs.run import Run

__version__ = "0.2.0"

_MODULES = {
    "load_dataset": "wsseg.api",
    "Dataset": "wsseg.data.model",
    "Constraints": "wsseg.data.constraints",
    "seed": "wsseg.api",
    "dense_crf": "wsseg.refine.crf.dense",
    "clean": "wsseg.api",
    "load_segmenter": "wsseg.api",
    "load_truth": "wsseg.api",
    "evaluate": "wsseg.metrics.segmentation",
    "show": "wsseg.api",
    "run": "wsseg.runs.recipes",
    "Run": "wsseg.runs.run",
    "IGNORE": "wsseg.labelmaps",
}

__all__ = [
    "IGNORE",
    "Constraints",
    "Dataset",
    "Run",
    "clean",
    "dense_crf",
    "evaluate",
    "load_dataset",
    "load_segmenter",
    "load_truth",
    "run",
    "seed",
    "show",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'wsseg' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
