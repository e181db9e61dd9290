"""Pixel-adaptive refinement: pixels of similar colour exchange their scores, without training."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.refine.params import PARParams
from wsseg.refine.scores import check_batch, normalise

_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True)
class _Variant:
    """Constants of the weights; see ``PARParams``."""

    colour_temperature: float
    position_temperature: float
    position_weight: float
    exponent: float
    counts_itself: bool


_VARIANTS = {"par": _Variant(0.3, 0.3, 0.01, 2, False), "pamr": _Variant(0.1, 0.3, 0, 1, True)}


def par(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
    params: PARParams = PARParams(),
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return scores after an exchange among neighbours of similar colour.

    Each iteration replaces the probabilities of a pixel by the weighted mean of its neighbours'
    (see ``PARParams``), sets forbidden classes to 0 and normalises the rest. A pixel whose
    neighbours have no probability for any class it may take keeps its own. Deterministic.

    Memory: 8 x dilations floats per pixel (192 bytes with the defaults) for any C, and some
    copies of the scores.

    Args:
        image: (H, W, 3) uint8 RGB, not normalised.
        scores: (C, H, W) probabilities or other scores of at least 0 over the C classes that can
            occur. Where all allowed classes have 0 they are equally likely.
        allowed: (C, H, W) bool, at least one True per pixel; None allows everything.
        device: Torch device; "auto" is CUDA if available, else the CPU.

    Returns:
        (C, H, W) float32 probabilities that sum to 1 over C, exactly 0 where not allowed.

    Raises:
        InputError: An argument has the wrong shape or type, scores are negative or not finite, a
            pixel has no allowed class, or torch cannot use the device.

    Example:
        >>> image = np.array([[[0] * 3, [0] * 3, [255] * 3]], np.uint8)
        >>> scores = np.array([[[0.9, 0.5, 0.1]], [[0.1, 0.5, 0.9]]])
        >>> par(image, scores, params=PARParams(dilations=(1,))).argmax(axis=0).tolist()
        [[0, 0, 1]]
    """
    masks = None if allowed is None else [allowed]
    return par_batch([image], [scores], allowed=masks, params=params, device=device)[0]


def par_batch(
    images: Sequence[NDArray[np.uint8]],
    scores: Sequence[NDArray[np.floating]],
    *,
    allowed: Sequence[NDArray[np.bool_] | None] | None = None,
    params: PARParams = PARParams(),
    device: str = "auto",
) -> list[NDArray[np.float32]]:
    """Apply ``par`` to images of any sizes, each with its scores and ``allowed`` or None.

    On CUDA, images of one size and number of classes form a batch, each needing the memory that
    ``par`` states; on the CPU they are processed one after the other. No image is padded.

    Raises:
        InputError: As ``par``, or the numbers of images, scores and constraints differ.
    """
    masks = [
        np.ones(maps.shape, bool) if mask is None else mask
        for maps, mask in zip(scores, check_batch(images, scores, allowed), strict=True)
    ]
    torch_device = _device(device)
    refined: dict[int, NDArray[np.float32]] = {}
    for batch in _batches(scores, torch_device):
        pixels = torch.from_numpy(np.stack([images[i] for i in batch])).to(torch_device)
        start = torch.from_numpy(np.stack([normalise(scores[i], masks[i]) for i in batch]))
        possible = torch.from_numpy(np.stack([masks[i] for i in batch])).to(torch_device)
        results = _refine(pixels, start.to(torch_device), possible, params).cpu().numpy()
        refined.update(zip(batch, results, strict=True))
    return [refined[i] for i in range(len(images))]


def _refine(images: Tensor, probabilities: Tensor, allowed: Tensor, params: PARParams) -> Tensor:
    """Return (B, C, H, W) from (B, H, W, 3) uint8, (B, C, H, W) float32 and bool."""
    if not params.iterations:
        return probabilities
    weights = _weights(images.movedim(3, 1).float(), params)
    for _ in range(params.iterations):
        spread = torch.zeros_like(probabilities)
        neighbours = _neighbours(probabilities, params.dilations)
        for neighbour, weight in zip(neighbours, weights, strict=True):
            spread.addcmul_(neighbour, weight)
        spread *= allowed
        total = spread.sum(dim=1, keepdim=True)
        probabilities = torch.where(total > 0, spread / total, probabilities)
    return probabilities


def _weights(pixels: Tensor, params: PARParams) -> Tensor:
    """Return (neighbours, B, 1, H, W) that sum to 1 over the neighbours of (B, 3, H, W)."""
    variant = _VARIANTS[params.variant]
    contrast = _contrast(pixels, params.dilations, variant)
    size = (len(_AROUND) * len(params.dilations), len(pixels), 1, *pixels.shape[2:])
    weights = pixels.new_empty(size)
    for weight, neighbour in zip(weights, _neighbours(pixels, params.dilations), strict=True):
        difference = (neighbour - pixels).mul_(contrast).abs_().pow_(variant.exponent)
        torch.mean(difference, dim=1, keepdim=True, out=weight)
    weights.sub_(weights.amin(dim=0)).neg_().exp_()
    weights /= weights.sum(dim=0)
    if variant.position_weight:
        position = _position(params.dilations, variant).to(weights)
        weights += variant.position_weight * position.view(-1, 1, 1, 1, 1)
        weights /= 1 + variant.position_weight
    return weights


def _contrast(pixels: Tensor, dilations: Sequence[int], variant: _Variant) -> Tensor:
    """Return 1 / (temperature x local standard deviation), 0 where that is 0, (B, 3, H, W)."""
    total, squares = torch.zeros_like(pixels), torch.zeros_like(pixels)
    for neighbour in _neighbours(pixels, dilations):
        difference = neighbour - pixels
        total += difference
        squares.addcmul_(difference, difference)
    count = (len(_AROUND) + variant.counts_itself) * len(dilations)
    # In whole numbers sums are exact for up to 32 dilations, and no deviation underflows to 0.
    scatter = count * squares.long() - total.long() ** 2
    deviation = (scatter / (count * (count - 1))).sqrt()
    return torch.where(scatter > 0, 1 / (variant.colour_temperature * deviation), 0)


def _position(dilations: Sequence[int], variant: _Variant) -> Tensor:
    distances = torch.tensor([d * math.hypot(*step) for d in dilations for step in _AROUND])
    scaled = distances / (variant.position_temperature * distances.std())
    return (-(scaled**variant.exponent)).softmax(dim=0)


def _neighbours(values: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """Yield views (B, C, H, W) that hold a neighbour of each pixel, dilation by dilation."""
    height, width = values.shape[2:]
    below, beside = min(max(dilations), height), min(max(dilations), width)
    padded = functional.pad(values, [beside, beside, below, below], mode="replicate")
    for step in dilations:
        for down, right in _AROUND:
            top, left = below + min(step, below) * down, beside + min(step, beside) * right
            yield padded[..., top : top + height, left : left + width]


def _batches(scores: Sequence[NDArray[np.floating]], device: torch.device) -> list[list[int]]:
    groups: dict[object, list[int]] = {}
    for index, maps in enumerate(scores):
        groups.setdefault(index if device.type == "cpu" else maps.shape, []).append(index)
    return list(groups.values())


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        remedy = "choose auto, cpu or cuda"
        raise InputError("device", "one that torch can use here", repr(name), remedy) from error
