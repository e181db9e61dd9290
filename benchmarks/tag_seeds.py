"""First labels from tags: every activation map with every refinement, measured against the truth.

    python -m benchmarks.tag_seeds runs/msrc_tags --every 3

Takes the trained classifier of a run on tags, its settings and, where it has one, its
learned affinity; one thread.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from wsseg.data.example import example_of
from wsseg.data.load import read_weak
from wsseg.data.model import Sample
from wsseg.data.truth import Truth, read_truth
from wsseg.images import read_image
from wsseg.metrics.segmentation import SegmentationQuality, confusion_matrix
from wsseg.networks.affinity_net import TrainedAffinity, load_affinity
from wsseg.networks.classifier import TrainedClassifier, load_classifier
from wsseg.refine.refiners import find_refiner
from wsseg.runs.config import Config, load_config
from wsseg.seeds.cam import activation_maps
from wsseg.seeds.confident import confident_labels
from wsseg.seeds.spreading import spread

METHODS = ("cam", "gradcam", "gradcam++", "layercam")
CONFIDENT = {"foreground": 0.3, "background": 0.05}  # IRN's, before its walk
WALKED = {"foreground": 0.25, "background": 0.25}  # IRN's, after it
VARIANTS = {
    "maps": {**CONFIDENT, "affinity": "none", "refiner": "none"},
    "CRF": {**CONFIDENT, "affinity": "none", "refiner": "crf"},
    "PAR": {**CONFIDENT, "affinity": "none", "refiner": "par"},
    "walk, colour": {**WALKED, "affinity": "colour", "refiner": "none"},
    "walk, boundary": {**WALKED, "affinity": "boundary", "refiner": "none"},
    "walk, colour + CRF": {**WALKED, "affinity": "colour", "refiner": "crf"},
    "walk, colour, 0.30/0.05": {**CONFIDENT, "affinity": "colour", "refiner": "none"},
    "walk, learned": {**WALKED, "affinity": "learned", "refiner": "none"},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="run with a trained classifier")
    parser.add_argument("--every", type=int, default=1, help="take every Nth training image")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(arguments.run / "config.yaml")
    classifier = load_classifier(arguments.run / "classifier" / "model.ckpt", "cpu")
    learned = arguments.run / "affinity" / "model.ckpt"
    affinity = load_affinity(learned, "cpu") if learned.exists() else None
    data = config.data
    truth = read_truth(data.root, data.format, data.splits)
    samples = read_weak(data).split(data.train)[:: arguments.every]
    print(f"{len(samples)} images; label mIoU (on covered pixels, coverage), %")
    for method in METHODS:
        for scales in ((1.0,), config.cam.scales):
            own = _changed(config, method=method, scales=scales)
            for name, quality in _measured(own, classifier, affinity, samples, truth):
                figures = f"{quality.miou:.3f} ({quality.miou_covered:.3f}, {quality.coverage:.3f})"
                print(f"{method:10} {scales!s:16} {name:24} {figures}", flush=True)


def _changed(config: Config, **changes: object) -> Config:
    return config.model_copy(update={"cam": config.cam.model_copy(update=changes)})


def _measured(
    config: Config,
    classifier: TrainedClassifier,
    affinity: TrainedAffinity | None,
    samples: tuple[Sample, ...],
    truth: Truth,
) -> Iterator[tuple[str, SegmentationQuality]]:
    n_classes = len(truth.classes)
    variants = {name: _changed(config, **changes) for name, changes in VARIANTS.items()}
    if affinity is None:
        del variants["walk, learned"]
    totals = {name: np.zeros((n_classes, n_classes + 1), np.int64) for name in variants}
    for sample in samples:
        image, true = read_image(sample.image, sample.reading), truth.label_map(sample)
        labels = sample.tagged
        (maps,) = activation_maps(classifier, [image], [labels], config.cam)
        for name, own in variants.items():
            propagated = _spread(image, maps, own, affinity)
            result = _labelled(sample, image, propagated, own, n_classes)
            totals[name] += confusion_matrix(result, true, n_classes)
    for name, matrix in totals.items():
        yield name, SegmentationQuality(matrix, truth.classes)


def _spread(
    image: NDArray[np.uint8],
    maps: NDArray[np.float32],
    config: Config,
    affinity: TrainedAffinity | None,
) -> NDArray[np.float32]:
    features = None
    if affinity is not None and config.cam.affinity == "learned":
        features = affinity.vectors(image)
    return spread(image, maps, config.cam, features)


def _labelled(
    sample: Sample,
    image: NDArray[np.uint8],
    maps: NDArray[np.float32],
    config: Config,
    n_classes: int,
) -> NDArray[np.uint8]:
    example = example_of(sample, n_classes, image)
    labels = np.array(sample.tagged, np.uint8)
    refine = find_refiner(config.cam.refiner, config.crf).refine
    result = confident_labels(example, maps, labels, config.cam, refine)
    return example.constraints.project(result)


if __name__ == "__main__":
    main()
