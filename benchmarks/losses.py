"""Losses of unlabelled pixels against the plain way to compute them, forward and backward.

    python -m benchmarks.losses [DATASET] [--count 8] [--size 96 128] [--classes 16] [--repeats 5]

The peers: for the gated CRF the authors' windows by ``unfold``; for the dense CRF loss the matrix
of all pairs of pixels, as its compiled module does not install; for the tree filter scipy's minimum
spanning tree and a pass in Python, as the public one needs CUDA; for AGMM a step of the network,
which is the last column of every line. The two take turns. Times are medians on one thread; a ratio
above 1 says how many times faster wsseg is than its peer.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor
from torch.nn import functional

from wsseg.data.formats.table import read_dataset
from wsseg.images import read_image
from wsseg.networks.losses.agmm import agmm
from wsseg.networks.losses.dense_crf import dense_crf_loss
from wsseg.networks.losses.gated_crf import gated_crf
from wsseg.networks.losses.tree_energy import tree_energy
from wsseg.networks.params import SegmenterParams
from wsseg.networks.segmenter import build_network
from wsseg.synthetic.scenes import generate_scene

Work = Callable[[], Tensor]


def main() -> None:
    """Print a line a loss."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, nargs="?", help="its root, else generated scenes")
    parser.add_argument("--count", type=int, default=8, help="images a batch")
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), help="of the crops")
    parser.add_argument("--classes", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = crops(arguments.dataset, arguments.count, tuple(arguments.size))
    print("loss           wsseg ms    peer ms   peer/wsseg   wsseg/network step")
    for name, (ours, peer) in contest(images, arguments.classes).items():
        step = network_step(images, arguments.classes)
        times = [[milliseconds(w) for w in (ours, peer, step)] for _ in range(arguments.repeats)]
        own, other, whole = (statistics.median(column) for column in zip(*times[1:], strict=True))
        print(f"{name:12} {own:10.1f} {other:10.1f} {other / own:12.2f} {own / whole:20.2f}")


def contest(images: Tensor, n_classes: int) -> dict[str, tuple[Work, Work]]:
    """Return each loss and its peer, on the same predictions."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(len(images), n_classes, 6, 8, generator=generator)
    logits = functional.interpolate(coarse, images.shape[2:], mode="bilinear").requires_grad_()
    features = torch.rand(len(images), 64, images.shape[2] // 4, images.shape[3] // 4)
    labels = logits.argmax(dim=1)
    labels[torch.rand(labels.shape, generator=generator) > 0.01] = 255
    possible = torch.ones(len(images), n_classes, dtype=torch.bool)
    return {
        "gated_crf": (lambda: gated_crf(logits, images), lambda: unfolded_crf(logits, images)),
        "dense_crf": (lambda: dense_crf_loss(logits, images), lambda: all_pairs(logits, images)),
        "tree_energy": (lambda: tree_energy(logits, images), lambda: scipy_trees(logits, images)),
        "agmm": (
            lambda: agmm(logits, features, labels, possible),
            network_step(images, n_classes),
        ),
    }


def unfolded_crf(logits: Tensor, images: Tensor, radius: int = 5, scale: int = 4) -> Tensor:
    """Return the gated CRF loss with all windows in memory at once, as its authors compute it."""
    p = functional.avg_pool2d(logits.softmax(dim=1), scale)
    colours = functional.avg_pool2d(images, scale) / 0.1
    height, width = p.shape[2:]
    places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    maps = torch.cat([colours, (places / 6.0).expand(len(p), 2, height, width)], dim=1)

    def windows(values: Tensor) -> Tensor:
        result = functional.unfold(values, 2 * radius + 1, padding=radius)
        return result.view(len(values), values.shape[1], -1, height, width)

    kernel = torch.exp(-(windows(maps) - maps[:, :, None]).square().sum(dim=1) / 2)
    kernel[:, (2 * radius + 1) ** 2 // 2] = 0
    kernel = kernel * windows(torch.ones_like(p[:, :1]))[:, 0]
    agreement = (windows(p) * p[:, :, None]).sum(dim=1)
    return (kernel * (1 - agreement)).sum() / (len(p) * height * width)


def all_pairs(logits: Tensor, images: Tensor) -> Tensor:
    """Return the dense CRF loss from the matrix of all pairs of pixels, at half the resolution."""
    total = logits.new_zeros(())
    for p, colours in zip(
        functional.avg_pool2d(logits.softmax(dim=1), 2),
        functional.avg_pool2d(images, 2),
        strict=True,
    ):
        height, width = p.shape[1:]
        places = torch.cartesian_prod(torch.arange(height), torch.arange(width)) / 50.0
        maps = torch.cat([places, colours.flatten(1).T * 255 / 15], dim=1)
        kernel = torch.exp(-torch.cdist(maps, maps).square() / 2)
        flat = p.flatten(1).T
        total = total + 1 - (flat * (kernel @ flat)).sum() / kernel.sum()
    return total / len(logits)


def scipy_trees(logits: Tensor, images: Tensor) -> Tensor:
    """Return the colours' half of the tree energy, by scipy's trees and a pass in Python."""
    p = functional.avg_pool2d(logits.softmax(dim=1), 2)
    small = functional.avg_pool2d(images, 2).numpy()
    filtered = np.stack([_filtered(*each) for each in zip(p.detach().numpy(), small, strict=True)])
    return (p - torch.from_numpy(filtered)).abs().sum(dim=1).mean()


def _filtered(p: np.ndarray, image: np.ndarray) -> np.ndarray:
    height, width = p.shape[1:]
    number = np.arange(height * width).reshape(height, width)
    ends = [
        np.concatenate([number[:-1].ravel(), number[:, :-1].ravel()]),
        np.concatenate([number[1:].ravel(), number[:, 1:].ravel()]),
    ]
    flat = image.reshape(3, -1)
    lengths = np.square(flat[:, ends[0]] - flat[:, ends[1]]).sum(axis=0) / 0.02 + 1e-9
    tree = minimum_spanning_tree(coo_array((lengths, ends), shape=(number.size,) * 2))
    order, parents = breadth_first_order(tree, 0, directed=False)
    both = (tree + tree.T).tocsr()
    values = np.vstack([p.reshape(len(p), -1), np.ones(number.size)])
    weights = np.array([0.0, *(np.exp(-both[node, parents[node]]) for node in order[1:])])
    for node, weight in zip(order[:0:-1], weights[:0:-1], strict=True):
        values[:, parents[node]] += weight * values[:, node]
    for node, weight in zip(order[1:], weights[1:], strict=True):
        above = values[:, parents[node]]
        values[:, node] = weight * above + (1 - weight**2) * values[:, node]
    result: np.ndarray = (values[:-1] / values[-1]).reshape(p.shape).astype(np.float32)
    return result


def network_step(images: Tensor, n_classes: int) -> Work:
    """Return a forward pass of a small network on the batch, with its cross-entropy."""
    torch.manual_seed(0)
    settings = SegmenterParams(architecture="Segformer", encoder="tu-mobilenetv2_100", weights=None)
    network = build_network(settings, n_classes)
    target = torch.zeros(len(images), *images.shape[2:], dtype=torch.long)
    return lambda: functional.cross_entropy(network(images), target)


def milliseconds(work: Work) -> float:
    """Return how long a loss takes, forward and backward where it has a gradient."""
    start = time.perf_counter()
    loss = work()
    torch.autograd.backward(loss)
    return 1000 * (time.perf_counter() - start)


def crops(root: Path | None, count: int, size: tuple[int, int]) -> Tensor:
    """Return the upper left corners of photographs, or of generated scenes."""
    if root:
        samples = read_dataset(root).samples[:count]
        pixels = [read_image(sample.image, sample.reading) for sample in samples]
    else:
        pixels = [generate_scene(np.random.default_rng(seed), size)[0] for seed in range(count)]
    shown = [torch.from_numpy(image[: size[0], : size[1]].copy()) for image in pixels]
    return torch.stack(shown).permute(0, 3, 1, 2).float() / 255


if __name__ == "__main__":
    main()
