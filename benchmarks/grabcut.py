"""GrabCut with the cuts of wsseg against OpenCV's, in the seed "grabcut": speed and quality.

    python -m benchmarks.grabcut ROOT [--format auto] [--images N] [--seed 0]

Both make the label map of every image with a mask, on one thread and in turns, with the same crops,
trimaps and fallbacks. Seconds are those of the processor, so that other work on the machine counts
less. Quality is the mIoU against the masks, which only measure; the interval is that of the
difference, by a paired bootstrap.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import Example, example_of
from wsseg.data.params import DataParams
from wsseg.data.truth import load
from wsseg.metrics.segmentation import SegmentationQuality, evaluate
from wsseg.seeds.apply import Seed, find_seed
from wsseg.seeds.graphcut import cut_out
from wsseg.seeds.params import SeedParams


def main() -> None:
    """Print a line for each engine, and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--format", default="auto")
    parser.add_argument("--images", type=int, help="this many, evenly spread; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of OpenCV's k-means")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    cv2.setRNGSeed(arguments.seed)
    data = DataParams(root=arguments.root, format=arguments.format, weak="boxes")
    labelled = load(data)
    classes = labelled.dataset.classes
    samples = [sample for sample in labelled.dataset.samples if labelled.truth.covers(sample)]
    count = arguments.images or len(samples)
    samples = samples[:: max(1, len(samples) // count)][:count]
    seed = find_seed(SeedParams(name="grabcut"))
    labels: dict[str, dict[str, NDArray[np.uint8]]] = {name: {} for name in ENGINES}
    seconds: dict[str, list[float]] = {name: [] for name in ENGINES}
    for name in ENGINES:  # compiled before the clock starts
        seconds_of(name, seed, example_of(samples[0], len(classes)))
    for number, sample in enumerate(samples):
        example = example_of(sample, len(classes))
        for name in sorted(ENGINES, reverse=bool(number % 2)):
            spent, labels[name][sample.id] = seconds_of(name, seed, example)
            seconds[name].append(spent)
    truth = {sample.id: labelled.truth.label_map(sample) for sample in samples}
    qualities = {name: evaluate(maps, truth, classes) for name, maps in labels.items()}
    print_comparison(seconds, qualities)


def seconds_of(engine: str, seed: Seed, example: Example) -> tuple[float, NDArray[np.uint8]]:
    """Return the processor's seconds for one label map, and the map."""
    with patch("wsseg.seeds.grabcut.cut_out", ENGINES[engine]):
        start = time.process_time()
        label_map = seed(example, np.random.default_rng(0))
        return time.process_time() - start, label_map


def cut_by_opencv(
    image: NDArray[np.uint8],
    trimap: NDArray[np.uint8],
    iterations: int,
    edges: NDArray[np.uint8] | None = None,
) -> NDArray[np.bool_]:
    """Return the foreground of OpenCV's GrabCut, which knows no edge maps."""
    assert edges is None
    result, nothing = trimap.copy(), cast(Any, None)
    bgr = np.ascontiguousarray(image[..., ::-1])
    cv2.grabCut(bgr, result, nothing, nothing, nothing, iterations, cv2.GC_INIT_WITH_MASK)
    return (result & 1).astype(bool)


ENGINES = {"wsseg": cut_out, "opencv": cut_by_opencv}


def print_comparison(
    seconds: dict[str, list[float]], qualities: dict[str, SegmentationQuality]
) -> None:
    """Print seconds in all, the median of an image, mIoU, and how both compare."""
    print(f"{len(seconds['wsseg'])} images\n         seconds   median ms   mIoU")
    for name, each in seconds.items():
        median, miou = 1000 * statistics.median(each), 100 * qualities[name].miou
        print(f"{name:7} {sum(each):8.1f} {median:11.1f} {miou:6.2f}")
    ours, theirs = seconds["wsseg"], seconds["opencv"]
    ratio = statistics.median(t / o for o, t in zip(ours, theirs, strict=True))
    print(f"wsseg is {sum(theirs) / sum(ours):.1f} times as fast (median image {ratio:.1f})")
    gain, low, high = (100 * value for value in qualities["wsseg"].gain_over(qualities["opencv"]))
    print(f"mIoU {gain:+.2f} points ({low:+.2f} to {high:+.2f}, 95 %)")


if __name__ == "__main__":
    main()
