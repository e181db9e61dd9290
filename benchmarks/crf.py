"""Dense CRF: the backends against pydensecrf, on the same images in the same run.

    python -m benchmarks.crf [--images FOLDER] [--size 375x500] [--count 6] [--repeats 5]

Backends take turns, one thread each, so that a busy machine slows all of them alike. Times are
medians over all images and repeats. A speed above 1 is faster than pydensecrf, which gets the same
problem as the others; in "21 (4 occur)" it gets all 21 classes, as without constraints. Agreement
is the share of pixels with the same best class. Memory is the peak of a fresh process above what
it holds after a first small image. Without pydensecrf the backend "torch" is the peer.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.images import SUFFIXES, read_image
from wsseg.refine.crf.backends import BACKENDS, warm_up
from wsseg.refine.crf.dense import dense_crf
from wsseg.refine.params import IRN, SDI, CRFParams

SIZE = (375, 500)
SETS = {"IRN": IRN, "SDI": SDI}
OCCURRING = (0, 7, 12, 15)  # of 21 classes

Problem = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]
Solve = Callable[[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]


def main() -> None:
    """Print a line for each parameter set, number of classes and backend."""
    arguments = _arguments()
    torch.set_num_threads(1)
    images = list(pictures(arguments.images, arguments.size, arguments.count))
    peer = "pydensecrf" if BACKENDS["pydensecrf"].is_installed() else "torch"
    for name in BACKENDS:
        if BACKENDS[name].is_installed():
            warm_up(name)
    sizes = sorted({f"{image.shape[0]}x{image.shape[1]}" for image in images})
    print(f"{len(images)} images of {', '.join(sizes)}, {arguments.repeats} repeats, peer {peer}")
    print("set  classes       backend      ms/image   speed  agreement  mean |dQ|   peak MB")
    for set_name, params in SETS.items():
        for title, problems in cases(images).items():
            solvers = contestants(params, peer)
            for line in compare(problems, solvers, arguments.repeats):
                print(f"{set_name:4} {title:13} {line}", flush=True)


def cases(images: list[NDArray[np.uint8]]) -> dict[str, list[Problem]]:
    """Return the problems by their number of classes."""
    problems: dict[str, list[Problem]] = {}
    for n_classes in (2, 4, 21):
        scores = [coarse_scores(image, n_classes) for image in images]
        everything = [np.ones(each.shape, bool) for each in scores]
        problems[f"{n_classes}"] = list(zip(images, scores, everything, strict=True))
    problems["21 (4 occur)"] = [_few_of_21(image) for image in images]
    return problems


def contestants(params: CRFParams, peer: str) -> dict[str, Solve]:
    """Return what is compared, the peer first."""
    by_peer, half, none = (
        params.model_copy(update=change)
        for change in ({"backend": peer}, {"scale": 0.5}, {"iterations": 0})
    )
    whole = partial(_solve, params=by_peer, restricted=False)
    solvers: dict[str, Solve] = {peer: whole}
    for name, backend in BACKENDS.items():
        if name != peer and backend.is_installed():
            solvers[name] = partial(_solve, params=params.model_copy(update={"backend": name}))
    solvers["native, half"] = partial(_solve, params=half)
    solvers["no CRF"] = partial(_solve, params=none)
    return solvers


def compare(problems: list[Problem], solvers: dict[str, Solve], repeats: int) -> Iterator[str]:
    """Yield a line of figures for each contestant."""
    times: dict[str, list[float]] = {name: [] for name in solvers}
    fields: dict[str, list[NDArray[np.float32]]] = {name: [] for name in solvers}
    for problem in problems:
        for repeat in range(repeats):
            for name, solve in solvers.items():
                start = time.perf_counter()
                field = solve(*problem)
                times[name].append(1000 * (time.perf_counter() - start))
                if repeat == 0:
                    fields[name].append(field)
    reference = next(iter(solvers))
    for name, solve in solvers.items():
        median = statistics.median(times[name])
        pairs = list(zip(fields[name], fields[reference], strict=True))
        agreement = np.mean([np.mean(a.argmax(0) == b.argmax(0)) for a, b in pairs])
        apart = np.mean([np.abs(a - b).mean() for a, b in pairs])
        speed = statistics.median(times[reference]) / median
        megabytes = peak_memory(solve, problems[0])
        quality = f"{agreement:.6f}   {apart:.2e}"
        yield f"{name:13} {median:7.0f} {speed:7.2f}   {quality} {megabytes:8.0f}"


def peak_memory(solve: Solve, problem: Problem) -> float:
    """Return the peak memory of solving a problem in a fresh process, MB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_growth, solve, problem).result()


def _growth(solve: Solve, problem: Problem) -> float:
    image, scores, allowed = problem
    solve(image[:8, :8].copy(), scores[:, :8, :8].copy(), allowed[:, :8, :8].copy())
    # the peak starts anew; Linux only
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = _kilobytes("VmRSS")
    solve(*problem)
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _solve(
    image: NDArray[np.uint8],
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    *,
    params: CRFParams,
    restricted: bool = True,
) -> NDArray[np.float32]:
    return dense_crf(image, scores, allowed=allowed if restricted else None, params=params)


def _few_of_21(image: NDArray[np.uint8]) -> Problem:
    scores = np.zeros((21, *image.shape[:2]), np.float32)
    scores[list(OCCURRING)] = coarse_scores(image, len(OCCURRING))
    allowed = np.zeros(scores.shape, bool)
    allowed[list(OCCURRING)] = True
    return image, scores, allowed


def pictures(
    folder: Path | None, size: tuple[int, int] | None, count: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield photographs spread evenly over a folder, or generated images."""
    if folder is None:
        yield from (textured(size or SIZE, seed) for seed in range(count))
        return
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(folder, "a folder of images", "none", "name another folder")
    for path in files[:: max(1, len(files) // count)][:count]:
        image = read_image(path)
        yield image if size is None else np.asarray(cv2.resize(image, size[::-1]), np.uint8)


def textured(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Return a generated image of smooth regions with grain."""
    rng = np.random.default_rng(seed)
    image = 128 + rng.normal(0, 5, (*size, 3))
    for sigma in (1, 4, 12, 36):
        noise = rng.random((*size, 3), np.float32) - 0.5
        image += 150 * sigma * cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.asarray(image.clip(0, 255), np.uint8)


def coarse_scores(image: NDArray[np.uint8], n_classes: int) -> NDArray[np.float32]:
    """Return scores like those of a network of stride 8: regions of the image, blurred borders."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    places = np.indices(small.shape[:2]).transpose(1, 2, 0) * 2
    features = np.dstack([small, places]).reshape(-1, 5).astype(np.float32)
    cv2.setRNGSeed(0)
    rule = (cv2.TERM_CRITERIA_MAX_ITER, 10, 0.0)
    clusters = np.empty((len(features), 1), np.int32)
    cv2.kmeans(features, n_classes, clusters, rule, 1, cv2.KMEANS_PP_CENTERS)
    one_hot = np.eye(n_classes, dtype=np.float32)[clusters[:, 0]].reshape(*small.shape[:2], -1)
    planes = [
        cv2.resize(cv2.GaussianBlur(np.ascontiguousarray(plane), (0, 0), 1.5), (width, height))
        for plane in one_hot.transpose(2, 0, 1)
    ]
    return np.asarray(0.9 * np.stack(planes) + 0.1 / n_classes, np.float32)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of photographs, else generated ones")
    parser.add_argument(
        "--size", type=parsed_size, default=SIZE, help="HxW, or native for photographs"
    )
    parser.add_argument("--count", type=int, default=6, help="images")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each backend an image")
    return parser.parse_args()


def parsed_size(text: str) -> tuple[int, int] | None:
    """Return (H, W) from "HxW", None from "native"."""
    if text == "native":
        return None
    height, width = (int(side) for side in text.split("x"))
    return height, width


if __name__ == "__main__":
    main()
