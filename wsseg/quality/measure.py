"""Label maps of a stage measured against hidden truth, over a whole split."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wsseg.annotations.model import Sample
from wsseg.annotations.truth import Truth, true_label_map
from wsseg.labels import read_label_map
from wsseg.quality.metrics import SegmentationQuality, confusion_matrix
from wsseg.run.engine import SetAside, map_samples
from wsseg.run.labelling import label_path, labelled, samples_key
from wsseg.run.progress import say, track
from wsseg.run.stage import Run, Stage


def measure(
    run: Run, labels: Stage | None, truth: Truth, samples: Sequence[Sample]
) -> SegmentationQuality | None:
    """Return how good a stage's label maps are, and record it in ``<stage>/quality``.

    Args:
        run: The run.
        labels: A complete stage of label maps; None measures nothing.
        truth: Hidden truth. Images it does not cover are left out.
        samples: The images.

    Returns:
        The figures, None where no image has truth. Images whose truth cannot be read are told,
        listed in the manifest under "set_aside" and left out.

    Raises:
        InputError: The truth of an image cannot be read, when the run is strict.
    """
    if labels is None:
        return None
    known = [truth.with_mask(s) for s in labelled(labels, samples) if truth.covers(s)]
    if not known:
        return None
    stage = run.stage(
        f"{labels.name}/quality",
        labels=labels,
        truth=samples_key(known),
        classes=list(truth.classes),
    )
    if not stage.is_complete:
        with stage.work() as record:
            compare = partial(_matrix, labels=labels, n_classes=len(truth.classes))
            total, record["set_aside"] = summed_matrices(run, stage.name, compare, known)
            record["matrix"] = total.tolist()
    for identity, reason in stage.manifest.get("set_aside", {}).items():
        say(f"{stage.name}: set aside {identity}: {reason}")
    matrix = np.array(stage.manifest["matrix"], np.int64)
    if not matrix.any():
        say(f"{labels.name}: not measured, no pixel of its images has a true class")
        return None
    quality = SegmentationQuality(matrix, truth.classes)
    say(f"{labels.name}: mIoU {quality.miou:.3f}, coverage {quality.coverage:.3f}")
    return quality


def summed_matrices(
    run: Run,
    name: str,
    matrices: Callable[[Sample], NDArray[np.int64]],
    samples: Sequence[Sample],
) -> tuple[NDArray[np.int64], dict[str, str]]:
    """Return the sum of confusion matrices over images.

    Args:
        run: The run; says how many processes and whether it is strict.
        name: Shown beside the progress.
        matrices: Confusion matrices of one image, of any shape; picklable.
        samples: At least one image.

    Returns:
        Their sum, 0 where no image could be used, and what is wrong with images that could not.

    Raises:
        InputError: An image cannot be used, when the run is strict.
    """
    results = map_samples(matrices, samples, run.config.workers, run.config.strict)
    total, bad = np.zeros((), np.int64), {}
    for result in track(results, name, len(samples)):
        if isinstance(result, SetAside):
            bad[result.id] = result.reason
        else:
            total = total + result
    return total, dict(sorted(bad.items()))


def _matrix(sample: Sample, labels: Stage, n_classes: int) -> NDArray[np.int64]:
    prediction = read_label_map(label_path(labels, sample))
    return confusion_matrix(prediction, true_label_map(sample, n_classes), n_classes)
