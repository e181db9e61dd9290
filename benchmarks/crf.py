"""Dense CRF: all installed backends against the first, on the same images in the same run.

    python benchmarks/crf.py [--images FOLDER] [--count 6] [--repeats 5]

Backends take turns, so that a busy machine slows all of them alike. Times are medians over all
images and repeats; a ratio above 1 is slower than the first backend listed.
"""

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.images import SUFFIXES, read_image
from wsseg.refine.crf import BACKENDS, IRN, SDI, CRFParams, dense_crf

SIZE = (213, 320)
SETS = {"IRN": IRN, "SDI": SDI}


def main() -> None:
    """Print a line for each parameter set, number of classes and backend."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of photographs, else generated ones")
    parser.add_argument("--count", type=int, default=6, help="images")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each backend an image")
    arguments = parser.parse_args()
    if arguments.images:
        images = photographs(arguments.images, arguments.count)
    else:
        images = [textured(seed) for seed in range(arguments.count)]
    backends = [name for name, backend in BACKENDS.items() if backend.is_installed()]
    print(f"{len(images)} images, {arguments.repeats} repeats, ratio against {backends[0]}")
    print("set  classes  backend        ms/image   ratio  argmax agreement")
    for name, params in SETS.items():
        for n_classes in (2, 3, 4):
            scores = [blobs(image.shape[:2], n_classes, n) for n, image in enumerate(images)]
            pairs = list(zip(images, scores, strict=True))
            for line in compare(pairs, params, backends, arguments.repeats):
                print(f"{name:4} {n_classes:7}  {line}", flush=True)


def compare(
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.float32]]],
    params: CRFParams,
    backends: list[str],
    repeats: int,
) -> list[str]:
    """Return a line of figures for each backend.

    Args:
        pairs: Images (H, W, 3) uint8 RGB and scores (C, H, W).
        params: Of the CRF.
        backends: Keys of ``BACKENDS``; the first is the peer of all.
        repeats: Runs of each backend an image.

    Returns:
        One line a backend.
    """
    times: dict[str, list[float]] = {backend: [] for backend in backends}
    agreements: dict[str, list[float]] = {backend: [] for backend in backends}
    for image, scores in pairs:
        for _ in range(repeats):
            labels = {}
            for backend in backends:
                start = time.perf_counter()
                sharp = dense_crf(image, scores, params=params, backend=backend)
                times[backend].append(1000 * (time.perf_counter() - start))
                labels[backend] = sharp.argmax(axis=0)
        for backend in backends:
            agreements[backend].append(float(np.mean(labels[backend] == labels[backends[0]])))
    medians = {backend: statistics.median(times[backend]) for backend in backends}
    return [
        f"{backend:14} {medians[backend]:8.0f} {medians[backend] / medians[backends[0]]:7.2f}"
        f"  {np.mean(agreements[backend]):.6f}"
        for backend in backends
    ]


def photographs(folder: Path, count: int) -> list[NDArray[np.uint8]]:
    """Return photographs spread evenly over a folder.

    Args:
        folder: Of image files.
        count: How many.

    Returns:
        (H, W, 3) uint8 RGB each.

    Raises:
        InputError: The folder has no image.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(folder, "a folder of images", "none", "name another folder")
    return [read_image(path) for path in files[:: max(1, len(files) // count)][:count]]


def textured(seed: int) -> NDArray[np.uint8]:
    """Return a generated image of smooth regions with grain.

    Args:
        seed: Of everything random.

    Returns:
        (213, 320, 3) uint8 RGB.
    """
    rng = np.random.default_rng(seed)
    image = 128 + rng.normal(0, 5, (*SIZE, 3))
    for sigma in (1, 4, 12, 36):
        noise = rng.random((*SIZE, 3), np.float32) - 0.5
        image += 150 * sigma * cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.asarray(image.clip(0, 255), np.uint8)


def blobs(size: tuple[int, ...], n_classes: int, seed: int) -> NDArray[np.float32]:
    """Return unsure scores in large blobs.

    Args:
        size: (H, W).
        n_classes: C.
        seed: Of everything random.

    Returns:
        (C, H, W) float32 probabilities.
    """
    rng = np.random.default_rng(seed)
    noise = rng.random((*size, n_classes), np.float32)
    logits = 60 * cv2.GaussianBlur(noise, (0, 0), 15).transpose(2, 0, 1)
    powers = np.exp(logits - logits.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0), np.float32)


if __name__ == "__main__":
    main()
