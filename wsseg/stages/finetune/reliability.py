"""Which unlabelled images are labelled reliably: those that earlier networks agree on."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import example_of
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.networks.prediction import kept_segmenter
from wsseg.runs.config import Config
from wsseg.runs.labelling import map_stage, samples_key
from wsseg.runs.run import Run
from wsseg.runs.stats import read_stats
from wsseg.stages.finetune.base_run import Base


def rank_by_reliability(run: Run, base: Base, samples: Sequence[Sample]) -> list[Sample]:
    """Return images, those first whose labels earlier networks agree on.

    Reliability is the mean over the earlier networks of the mIoU between their labels and those
    of the last one, held to what the annotations allow. It is kept in the stage "reliability".

    Args:
        run: The run; ``config.prediction`` says how labels are predicted.
        base: The last network and the earlier ones.
        samples: The images; those that cannot be read are left out.

    Returns:
        The images, the most reliable first.

    Raises:
        InputError: There is no earlier network.

    References:
        Yang et al., ST++, arXiv:2106.05095, where the earlier networks are checkpoints.
    """
    if not base.earlier:
        rule, remedy = "a base of at least two rounds", "or set it to false"
        raise InputError("finetune.semi.reliable_first", f"used with {rule}", "one", remedy)
    stage = run.stage(
        "reliability",
        model=base.model,
        earlier=[str(path) for path in base.earlier],
        samples=samples_key(samples),
        prediction=run.config.prediction,
    )
    models = [base.model.path / "model.ckpt", *base.earlier]
    work = partial(_agreement, models=models, config=run.config)
    stage = map_stage(run, stage, work, samples)
    table = read_stats(stage.path).to_pandas().set_index("id")["reliability"]
    known = [sample for sample in samples if sample.id in table.index]
    return sorted(known, key=lambda sample: (-table[sample.id], sample.id))


def agreement(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean IoU of two label maps over the classes that either has.

    Args:
        one: (H, W) uint8.
        other: (H, W) uint8.

    Returns:
        0..1.
    """
    shares = []
    for label in np.union1d(one, other):
        a, b = one == label, other == label
        shares.append((a & b).sum() / (a | b).sum())
    return float(np.mean(shares))


def _agreement(
    sample: Sample, models: Sequence[Path], config: Config
) -> tuple[str, list[dict[str, Any]]]:
    segmenters = [
        kept_segmenter(path, path.stat().st_mtime_ns, config.machine.device) for path in models
    ]
    example, maps = example_of(sample, len(segmenters[0].classes)), []
    constraints = example.constraints
    for segmenter in segmenters:
        scores = segmenter.predict(example.image, config.prediction)
        maps.append(constraints.argmax(scores[constraints.classes]))
    found = np.mean([agreement(earlier, maps[0]) for earlier in maps[1:]])
    return sample.id, [{"id": sample.id, "reliability": float(found)}]
