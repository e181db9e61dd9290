"""GrabCut in padded crops with guards against plain OpenCV GrabCut on whole images, box by box.

    python benchmarks/grabcut.py [DATASET] [--images 12] [--repeats 3]

The two take turns, so that a busy machine slows both alike. Times are medians over all boxes of a
size; a ratio above 1 says how many times faster the crops are.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box, Boxes
from wsseg.data.example import example_of
from wsseg.data.formats.table import read_dataset
from wsseg.data.model import Sample
from wsseg.images import read_image
from wsseg.seeds.apply import find_seed
from wsseg.seeds.params import GrabCutParams, SeedParams
from wsseg.synthetic.scenes import generate_scene

SIZE = (375, 500)
SHARES = (0.02, 0.1, 0.25, 1.0)


def main() -> None:
    """Print a line for each range of box sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, nargs="?", help="its root, else generated scenes")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each a box")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    root, count = arguments.dataset, arguments.images
    times: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for image, box in photographs(root, count) if root else generated(count):
        share = box.area / (image.shape[0] * image.shape[1])
        ceiling = next(limit for limit in SHARES if share <= limit)
        times[ceiling] += [compared(image, box, seed) for seed in range(arguments.repeats)]
    print("box up to   runs   wsseg ms   opencv ms   opencv/wsseg")
    for ceiling, pairs in sorted(times.items()):
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        figures = f"{len(pairs):6} {ours:10.1f} {theirs:11.1f} {theirs / ours:14.2f}"
        print(f"{ceiling:9.0%} {figures}", flush=True)


def compared(image: NDArray[np.uint8], box: Box, seed: int) -> tuple[float, float]:
    """Return the time of one box by the seed "grabcut", gate included, and by plain OpenCV."""
    size = (image.shape[0], image.shape[1])
    sample = Sample("benchmark", Path("benchmark.png"), size, (Boxes((box,)),), "train")
    params = GrabCutParams()
    grabcut = find_seed(SeedParams(name="grabcut", grabcut=params))

    def ours() -> None:
        grabcut(example_of(sample, box.label + 1, image), np.random.default_rng(seed))

    def theirs() -> None:
        cv2.setRNGSeed(seed)
        mask, nothing = np.zeros(size, np.uint8), _nothing()
        mask[box.slices] = cv2.GC_PR_FGD
        bgr = np.ascontiguousarray(image[..., ::-1])
        mode = cv2.GC_INIT_WITH_MASK
        cv2.grabCut(bgr, mask, nothing, nothing, nothing, params.iterations, mode)

    if seed % 2:
        slow = milliseconds(theirs)
        return milliseconds(ours), slow
    return milliseconds(ours), milliseconds(theirs)


def milliseconds(run: Callable[[], None]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def photographs(root: Path, count: int) -> Iterator[tuple[NDArray[np.uint8], Box]]:
    """Yield the boxes of images spread evenly over a data set."""
    samples = read_dataset(root).samples
    for sample in samples[:: max(1, len(samples) // count)][:count]:
        image = read_image(sample.image, sample.reading)
        for box in sample.boxes:
            # plain OpenCV stops with an error where there is no background at all
            if box.area < sample.size[0] * sample.size[1]:
                yield image, box


def generated(count: int) -> Iterator[tuple[NDArray[np.uint8], Box]]:
    """Yield the boxes of generated scenes."""
    for seed in range(count):
        image, _, boxes = generate_scene(np.random.default_rng(seed), SIZE)
        for box in boxes:
            yield image, box


def _nothing() -> Any:
    return None  # OpenCV's type stubs want arrays, OpenCV itself takes none


if __name__ == "__main__":
    main()
