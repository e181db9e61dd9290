"""Dense CRF in batches: images a second of the backend "torch" against pydensecrf on one core.

    python -m benchmarks.crf_batch [--images FOLDER] [--size 375x500] [--batches 1,4,16,64]

Runs on the GPU where there is one, else on the CPU. The floor is the time that the iterations'
unavoidable memory traffic takes at the bandwidth of a large copy, measured in the same run: each
array of a pass read or written once, whatever is gathered from it; building the lattice is not in
it. Without pydensecrf the peer is "native".
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.crf import SIZE, coarse_scores, parsed_size, pictures
from wsseg.refine.crf.backends import BACKENDS
from wsseg.refine.crf.batched import kernels_of
from wsseg.refine.crf.dense import dense_crf, dense_crf_batch
from wsseg.refine.params import IRN, CRFParams

Image = NDArray[np.uint8]
Scores = NDArray[np.float32]


def main() -> None:
    """Print a line for each number of classes and batch size."""
    arguments = _arguments()
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peer = "pydensecrf" if BACKENDS["pydensecrf"].is_installed() else "native"
    speed = bandwidth(device)
    print(f"device {device}, copies {speed / 1e9:.0f} GB/s, IRN's parameters, peer {peer}")
    print("classes  batch  images/s  ms/image  floor ms   speed  agreement  mean |dQ|")
    for n_classes in (2, 4, 21):
        for size in arguments.batches:
            images = list(pictures(arguments.images, arguments.size, size))
            scores = [coarse_scores(image, n_classes) for image in images]
            line = measured(images, scores, peer, arguments.repeats)
            floor = 1000 * traffic(images, n_classes, IRN, device) / speed / len(images)
            print(f"{n_classes:7} {size:6} " + line.format(floor=floor), flush=True)


def measured(images: list[Image], scores: list[Scores], peer: str, repeats: int) -> str:
    """Return a line of figures, with a place for ``floor``."""
    torch_params, peer_params = CRFParams(backend="torch"), CRFParams(backend=peer)
    results = dense_crf_batch(images, scores, params=torch_params)
    expected = dense_crf(images[0], scores[0], params=peer_params)
    own, other = [], []
    for _ in range(repeats):
        own.append(_seconds(lambda: dense_crf_batch(images, scores, params=torch_params)))
        other.append(_seconds(lambda: dense_crf(images[0], scores[0], params=peer_params)))
    each = statistics.median(own) / len(images)
    agreement = np.mean(results[0].argmax(axis=0) == expected.argmax(axis=0))
    apart = np.abs(results[0] - expected).mean()
    ratio = statistics.median(other) / each
    figures = f"{ratio:7.1f}   {agreement:.6f}   {apart:.2e}"
    return f"{1 / each:9.1f} {1000 * each:9.1f} {{floor:9.2f}} {figures}"


def bandwidth(device: torch.device) -> float:
    """Return bytes a second of a large copy, read and written."""
    source = torch.ones(1 << (28 if device.type == "cuda" else 25), device=device)
    target = torch.empty_like(source)
    seconds = min(_seconds(lambda: target.copy_(source)) for _ in range(10))
    return 2 * source.nbytes / seconds


def traffic(images: list[Image], n_classes: int, params: CRFParams, device: torch.device) -> float:
    """Return the bytes that all iterations must at least move."""
    row = 4 * n_classes
    pixels = sum(image.shape[0] * image.shape[1] for image in images)
    total = 3 * pixels * row  # energies, messages and probabilities of the softmax
    for _, lattice, _ in kernels_of(images, params, device):
        points, directions = lattice.neighbours.shape[2], len(lattice.neighbours)
        weighted = 2 * 8 * lattice.corners.numel()  # numbers and weights, to splat and to slice
        blurred = directions * points * (2 * row + 8)
        total += weighted + blurred + 2 * (pixels + points) * row
    return float(params.iterations * total)


def _seconds(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of photographs, else generated ones")
    parser.add_argument("--size", type=parsed_size, default=SIZE, help="HxW, or native")
    parser.add_argument("--batches", type=_numbers, default=(1, 4, 16, 64), help="such as 1,8")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each batch")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
