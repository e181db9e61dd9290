"""A small promptable model that works, and labels from it against GrabCut and plain SAM.

    python -m benchmarks.tiny_sam train OUT
    python -m benchmarks.tiny_sam compare OUT [--data $WSSEG_DATA/msrc15 ...] [--images 60]

``train`` takes half an hour on one core: it trains a SAM of 1.9 million parameters on generated
scenes of its own (``tiny_sam_scenes.py``), and continues if it was stopped. ``compare`` measures
labels from boxes on the demo's scenes, and on data sets with boxes and masks: those of the seed
"grabcut", of "SAM on my boxes" (one prompt for each box, the mask of the best score, smaller boxes
in front, no constraints), and of the seed "sam".
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

import wsseg
from benchmarks.tiny_sam_training import train
from wsseg.data.annotation import Box
from wsseg.data.example import Example
from wsseg.data.stacking import smaller_in_front, visible_box_index
from wsseg.data.truth import Truth
from wsseg.foundation.params import SamParams
from wsseg.labelmaps import IGNORE
from wsseg.metrics.segmentation import SegmentationQuality, confusion_matrix
from wsseg.metrics.signals import SEED_SIGNALS
from wsseg.seeds.apply import find_seed
from wsseg.seeds.labels import SeedLabels
from wsseg.seeds.params import SeedParams
from wsseg.synthetic.scenes import write_scenes

LabelMap = NDArray[np.uint8]

Labeller = Callable[[Example, np.random.Generator], SeedLabels]
"""Returns the label map of an image, and what is known of its quality without truth."""


def main() -> None:
    """Train the model, or print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("out", type=Path, help="folder of the model")
    training.add_argument("--steps", type=int, default=3000)
    training.add_argument("--seed", type=int, default=0)
    comparing = commands.add_parser("compare")
    comparing.add_argument("model", type=Path, help="folder of the model")
    comparing.add_argument("--data", type=Path, nargs="*", default=[], help="roots of data sets")
    comparing.add_argument("--images", type=int, default=60, help="of each training split")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "train":
        train(arguments.out, arguments.steps, arguments.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder) / "scenes"
        write_scenes(scenes, train=arguments.images, val=1, seed=0)
        for root in (scenes, *arguments.data):
            compare(arguments.model, root, arguments.images)


def compare(model: Path, root: Path, images: int) -> None:
    """Print the quality of all labels of the first images of a training split."""
    dataset, truth = wsseg.load_dataset(root, weak="boxes"), wsseg.load_truth(root)
    examples = [sample.example() for sample in dataset.split("train")[:images]]
    n_boxes = sum(len(example.sample.boxes) for example in examples)
    print(f"\n{root.name}: {len(examples)} images, {n_boxes} boxes")
    print("labels     mIoU  common  coverage  fallbacks  Spearman of signals and true IoU")
    plain = PlainSam(model)
    sam = SeedParams(name="sam", sam=SamParams(model=str(model)))
    labellers: dict[str, Labeller] = {
        "grabcut": find_seed(SeedParams(name="grabcut")).label,
        "plain": plain.label,
        "sam": find_seed(sam, device="cpu").label,
    }
    results = {name: label_all(labeller, examples) for name, labeller in labellers.items()}
    common = [
        np.all([labels.label_map != IGNORE for labels in of_image], axis=0)
        for of_image in zip(*results.values(), strict=True)
    ]
    for name, labels in results.items():
        print(f"{name:8} {measure(labels, examples, common, truth)}")
    chosen, best, rank = mask_quality(plain, examples, truth)
    print(f"masks of the model: IoU {chosen:.3f}, best of three {best:.3f}, Spearman {rank:+.2f}")


@dataclass(frozen=True)
class Measured:
    """The quality of the labels of a data set, and of signals that should foretell it.

    Attributes:
        quality: Figures of all images; IGNORE counts as wrong.
        common: Figures of the pixels that all labels of the comparison cover.
        ious: True IoU of each class in each image, for classes with signals.
        signals: Values of each signal, in the same order.
        refused: Of each object for which masks were compared, True if none was good enough.
    """

    quality: SegmentationQuality
    common: SegmentationQuality
    ious: list[float]
    signals: dict[str, list[float]]
    refused: list[bool]

    def __str__(self) -> str:
        ranks = (f"{name} {rank:+.2f}" for name, rank in self.ranks().items())
        share = f"{np.mean(self.refused):9.0%}" if self.refused else f"{'-':>9}"
        quality = self.quality
        figures = f"{quality.miou:6.3f} {self.common.miou:7.3f} {quality.coverage:9.3f}"
        return f"{figures}  {share}  {', '.join(ranks)}"

    def ranks(self) -> dict[str, float]:
        """Return Spearman's correlation with the true IoU of each signal that varies."""
        ious, result = np.array(self.ious), {}
        for name, values in self.signals.items():
            column = np.array(values)
            known = ~np.isnan(column)  # NaN where the masks were refused
            if known.any() and np.ptp(column[known]) > 0:
                result[name] = float(spearmanr(column[known], ious[known]).statistic)
        return result


def label_all(labeller: Labeller, examples: Sequence[Example]) -> list[SeedLabels]:
    """Return the labels of some images."""
    return [labeller(example, np.random.default_rng(n)) for n, example in enumerate(examples)]


def measure(
    labels: Sequence[SeedLabels],
    examples: Sequence[Example],
    common: Sequence[NDArray[np.bool_]],
    truth: Truth,
) -> Measured:
    """Return the quality of the labels of some images.

    Args:
        common: (H, W) bool of each image, pixels of the second figure.
    """
    classes = truth.classes
    total = np.zeros((2, len(classes), len(classes) + 1), np.int64)
    ious: list[float] = []
    signals: dict[str, list[float]] = {name: [] for name in SEED_SIGNALS}
    refused: list[bool] = []
    for of_image, example, mask in zip(labels, examples, common, strict=True):
        true = truth.label_map(example.sample)
        matrix = confusion_matrix(of_image.label_map, true, len(classes))
        within = np.where(mask, true, IGNORE).astype(np.uint8)
        total += matrix, confusion_matrix(of_image.label_map, within, len(classes))
        per_class = SegmentationQuality(matrix, classes).per_class
        for label, values in of_image.stats.items():
            ious.append(per_class.get(classes.names[label], 0.0))
            for name, column in signals.items():
                column.append(values.get(name, math.nan))
        refused += (candidates.best < 0 for candidates in of_image.candidates)
    quality, shared = (SegmentationQuality(matrix, classes) for matrix in total)
    return Measured(quality, shared, ious, signals, refused)


class PlainSam:
    """The labels of "SAM on my boxes", by the calls of transformers alone.

    Args:
        folder: Weights of SAM 1, 2 or 3, as ``save_pretrained`` writes them.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoProcessor  # noqa: PLC0415 - slow to import

        self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        self._processor = AutoProcessor.from_pretrained(folder, local_files_only=True)

    def label(self, example: Example, rng: np.random.Generator) -> SeedLabels:
        """Return the masks of the best scores with smaller boxes in front, and these scores."""
        del rng
        label_map = np.zeros(example.sample.size, np.uint8)
        scores_of: dict[int, list[float]] = {}
        boxes, (masks, scores) = example.sample.boxes, self.masks(example)
        best = scores.argmax(axis=1)
        for box in smaller_in_front(boxes):
            number = boxes.index(box)
            label_map[masks[number, best[number]]] = box.label
            scores_of.setdefault(box.label, []).append(float(scores[number].max()))
        stats = {k: {"predicted_iou": float(np.mean(v))} for k, v in scores_of.items()}
        return SeedLabels(label_map, stats)

    def masks(self, example: Example) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return three masks (N, 3, H, W) for each box, and the scores (N, 3) of the model."""
        sample = example.sample
        if not sample.boxes:
            return np.zeros((0, 3, *sample.size), bool), np.zeros((0, 3), np.float32)
        boxes = [[float(v) for v in (b.left, b.top, b.right, b.bottom)] for b in sample.boxes]
        image = example.image.copy()  # torch warns of arrays it cannot write to
        inputs = self._processor(images=image, input_boxes=[boxes], return_tensors="pt")
        with torch.inference_mode():
            output = self._model(
                pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float()
            )
        # SAM 1 pads images to a square, later models fill it.
        sizes = [inputs[n] for n in ("original_sizes", "reshaped_input_sizes") if n in inputs]
        masks = self._processor.post_process_masks(output.pred_masks, *sizes)[0]
        return masks.numpy(), output.iou_scores[0].numpy()


def mask_quality(
    plain: PlainSam, examples: Sequence[Example], truth: Truth
) -> tuple[float, float, float]:
    """Return how good the masks of single boxes are, without any overlap of objects.

    Returns:
        Mean IoU of the mask of the best score and of the best mask, and Spearman's correlation of
        the best score and the IoU of its mask.
    """
    chosen, best, top = [], [], []
    for example in examples:
        true = truth.label_map(example.sample)
        masks, scores = plain.masks(example)
        for number, box in enumerate(example.sample.boxes):
            mine = object_of(box, example.sample.boxes, true)
            ious = [overlap(mask & (true != IGNORE), mine) for mask in masks[number]]
            chosen.append(ious[int(scores[number].argmax())])
            best.append(max(ious))
            top.append(scores[number].max())
    rank = spearmanr(top, chosen).statistic
    return float(np.mean(chosen)), float(np.mean(best)), float(rank)


def object_of(box: Box, boxes: tuple[Box, ...], true: LabelMap) -> NDArray[np.bool_]:
    """Return the true pixels (H, W) of the object in a box.

    Label maps do not tell objects of a class apart: where their boxes overlap, the smaller one is
    in front.
    """
    alike = tuple(other for other in boxes if other.label == box.label)
    owners = visible_box_index(alike, true.shape)
    return np.asarray((true == box.label) & (owners == alike.index(box)))


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the IoU of two masks, 0 if both are empty."""
    return float((first & second).sum() / max(1, (first | second).sum()))


if __name__ == "__main__":
    main()
