"""Activation maps: ours against the grad-cam package, on the same classifier in the same run.

    python -m benchmarks.cam [--images FOLDER] [--size 375x500] [--count 6] [--repeats 5]
                             [--weights FILE]

Both make the maps of all tags of an image at scales 0.5, 1, 1.5 and 2, each with its mirror image,
summed, divided by their maximum and a quarter of the image's size. The package's peer of "cam" is
Grad-CAM at the last feature map, to which CAM is equal up to a factor. It is called once a scale,
with image and mirror image in one batch, in two ways: for all tags at once (the batch repeated for
each tag), and tag after tag; "speed" is against the faster of the two. The package goes back
through the whole encoder; "frozen" is tag after tag by a user who knows to switch the gradients of
all weights off but the encoder's last one's, and the last "speed" is against that. Contestants take
turns, one thread each, so that a busy machine slows all alike. Times are medians over images and
repeats; a speed above 1 is ours being faster. "apart" is the largest difference of a map of 0 to 1
from the peer's; there ours are summed as the package gives them, scaled to 0..1 at each scale and
enlarged to the image first, so that only the maps themselves can differ.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torch.nn import functional

from benchmarks.crf import SIZE, parsed_size, pictures
from wsseg.data.model import Classes
from wsseg.networks.classifier import TrainedClassifier, build_classifier, image_tensor
from wsseg.networks.params import ClassifierNetworkParams
from wsseg.seeds.cam import STRIDE, activation_maps, class_activation
from wsseg.seeds.params import CAMParams

TAGS = (1, 3, 5)
CLASSES = Classes(("background", *(f"tag {number}" for number in range(1, 21))))
PEERS = {"cam": GradCAM, "gradcam": GradCAM, "gradcam++": GradCAMPlusPlus, "layercam": LayerCAM}

Maps = NDArray[np.float32]
Locate = Callable[[NDArray[np.uint8], tuple[int, ...]], Maps]


def main() -> None:
    """Print a line for each method and number of tags."""
    arguments = _arguments()
    torch.set_num_threads(1)
    images = list(pictures(arguments.images, arguments.size, arguments.count))
    classifier = untrained(arguments.weights)
    sizes = sorted({f"{image.shape[0]}x{image.shape[1]}" for image in images})
    print(f"{len(images)} images of {', '.join(sizes)}, {arguments.repeats} repeats, ms/image")
    print("method     tags      ours  all tags  tag by tag   speed    frozen   speed     apart")
    for method in PEERS:
        for count in TAGS:
            line = compare(classifier, images, CAMParams(method=method), count, arguments.repeats)
            print(f"{method:10} {count:4}  {line}", flush=True)


def untrained(weights: str | None) -> TrainedClassifier:
    """Return a classifier whose head is random; how long maps take does not depend on it."""
    torch.manual_seed(0)
    padding = {"pad_type": "same"} if weights else {}
    settings = ClassifierNetworkParams(
        encoder="mobilenetv2_100", weights=weights, encoder_kwargs=padding
    )
    network = build_classifier(settings, len(CLASSES) - 1).eval()
    return TrainedClassifier(network, CLASSES, settings)


def compare(
    classifier: TrainedClassifier,
    images: list[NDArray[np.uint8]],
    settings: CAMParams,
    count: int,
    repeats: int,
) -> str:
    """Return the figures of one method and number of tags."""
    solvers = contestants(classifier, settings)
    labels = tuple(range(1, count + 1))
    times: dict[str, list[float]] = {name: [] for name in solvers}
    apart = 0.0
    for image in images:
        like_peer = ours_as_the_package_sums(classifier, image, labels, settings)
        for _ in range(repeats):
            for name, result, milliseconds in in_turn(solvers, image, labels):
                times[name].append(milliseconds)
                if name != "ours":
                    apart = max(apart, float(np.abs(result - like_peer).max()))
    ours, together, one_by_one, frozen = (statistics.median(each) for each in times.values())
    speed, against_frozen = min(together, one_by_one) / ours, frozen / ours
    of_peer = f"{together:8.0f}  {one_by_one:10.0f}  {speed:6.2f}"
    return f"{ours:8.0f}  {of_peer}  {frozen:8.0f}  {against_frozen:6.2f}  {apart:.2e}"


def in_turn(
    solvers: dict[str, Locate], image: NDArray[np.uint8], labels: tuple[int, ...]
) -> Iterator[tuple[str, Maps, float]]:
    """Yield each contestant's maps of an image."""
    for name, locate in solvers.items():
        start = time.perf_counter()
        result = locate(image, labels)
        yield name, result, 1000 * (time.perf_counter() - start)


def contestants(classifier: TrainedClassifier, settings: CAMParams) -> dict[str, Locate]:
    """Return ours, and the package for all tags at once, one by one, and with frozen weights."""

    def ours(image: NDArray[np.uint8], labels: tuple[int, ...]) -> Maps:
        return activation_maps(classifier, [image], [labels], settings)[0]

    def together(image: NDArray[np.uint8], labels: tuple[int, ...]) -> Maps:
        return of_package(classifier, image, labels, settings)

    def one_by_one(
        image: NDArray[np.uint8], labels: tuple[int, ...], explained: TrainedClassifier = classifier
    ) -> Maps:
        each = [of_package(explained, image, (label,), settings) for label in labels]
        return np.concatenate(each)

    frozen = partial(one_by_one, explained=_frozen(classifier))
    return {"ours": ours, "all tags": together, "tag by tag": one_by_one, "frozen": frozen}


def _frozen(classifier: TrainedClassifier) -> TrainedClassifier:
    network = copy.deepcopy(classifier.network)
    network.encoder.requires_grad_(False)
    *_, last = network.encoder.parameters()
    last.requires_grad_(True)
    return replace(classifier, network=network)


def of_package(
    classifier: TrainedClassifier,
    image: NDArray[np.uint8],
    labels: tuple[int, ...],
    settings: CAMParams,
) -> Maps:
    """Return the grad-cam package's maps of an image, summed over scales and mirror images."""
    network = classifier.network
    targets = [ClassifierOutputTarget(label - 1) for label in labels for _ in range(2)]
    result = []
    with PEERS[settings.method](network, [network.encoder]) as peer:
        for views in scaled(classifier, image, settings):
            maps = peer(views.repeat(len(labels), 1, 1, 1), targets)
            result.append(np.asarray(maps, np.float32).reshape(len(labels), 2, *maps.shape[1:]))
    return summed(result, image.shape, STRIDE)


def ours_as_the_package_sums(
    classifier: TrainedClassifier,
    image: NDArray[np.uint8],
    labels: tuple[int, ...],
    settings: CAMParams,
) -> Maps:
    """Return our maps, made one at each scale as the package does, then summed."""
    result = []
    for views in scaled(classifier, image, settings):
        pair = class_activation(classifier.network, views, [labels] * 2, settings)
        raw = torch.stack(pair, dim=1).relu()
        size = tuple(views.shape[2:])
        lowest = raw - raw.amin(dim=(2, 3), keepdim=True)
        whole = lowest / lowest.amax(dim=(2, 3), keepdim=True).clamp(min=_TINY)
        large = functional.interpolate(whole, size, mode="bilinear")
        lowest = large - large.amin(dim=(2, 3), keepdim=True)
        most = lowest.amax(dim=(2, 3), keepdim=True).clamp(min=_TINY)
        result.append((lowest / most).numpy())
    return summed(result, image.shape, STRIDE)


_TINY = 1e-30  # so that a map of zeros stays one


def scaled(
    classifier: TrainedClassifier, image: NDArray[np.uint8], settings: CAMParams
) -> Iterator[Tensor]:
    """Yield an image and its mirror image at every scale."""
    pixels = image_tensor(image, classifier.params, torch.device("cpu"))
    for scale in settings.scales:
        size = [round(side * scale) for side in pixels.shape[2:]]
        resized = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        both = torch.cat([resized, resized.flip(3)])
        yield both.contiguous(memory_format=torch.channels_last)


def summed(result: list[Maps], shape: tuple[int, ...], stride: int) -> Maps:
    """Return the sum of maps, divided by its maximum."""
    height, width = (-(-side // stride) for side in shape[:2])
    both = [np.concatenate([maps[:, 0], maps[:, 1, :, ::-1]]) for maps in result]
    small = [np.stack([cv2.resize(each, (width, height)) for each in maps]) for maps in both]
    total = np.sum(small, axis=0).reshape(2, -1, height, width).sum(axis=0)
    most = total.max(axis=(1, 2), keepdims=True)
    return np.asarray(total / np.maximum(most, _TINY), np.float32)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of photographs, else generated ones")
    parser.add_argument("--size", type=parsed_size, default=SIZE, help="HxW, or native")
    parser.add_argument("--count", type=int, default=6, help="images")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each an image")
    parser.add_argument("--weights", help="file of mobilenetv2_100's weights, else random ones")
    return parser.parse_args()


if __name__ == "__main__":
    main()
