"""Pixel-adaptive refinement: scores spread among pixels of like colour, without training."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.refine.params import check_number, check_whole
from wsseg.refine.scores import check_batch, normalised

_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True)
class PARParams:
    """Pixel-adaptive refinement; defaults are those of AFA.

    The neighbours of a pixel i are the 8 pixels j around it at each dilation; beyond the border
    the nearest pixel of the image stands in. How much j counts for i is::

        colour(i, j)   = -mean over R, G, B of (|I_i - I_j| / (colour_temperature s_i)) ^ exponent
        position(i, j) = -(|P_i - P_j| / (position_temperature s)) ^ exponent
        weight(i, j)   = (softmax_j colour + position_weight softmax_j position)
                         / (1 + position_weight)

    with I a channel's value, P the place in pixels, s_i the standard deviation (n - 1) of I over
    the neighbours of i, for each channel by itself, and s that of |P_i - P_j|, both softmaxes
    over all neighbours. A channel with s_i = 0 tells no neighbour from another and is left out.

    Args:
        dilations: Distances of the neighbours, pixels, whole and at least 1, at least one of
            them; may exceed the image.
        iterations: How often scores spread; 0 returns them, normalised.
        colour_temperature: At least 0.001; smaller follows edges more strictly.
        position_temperature: At least 0.001; smaller prefers near neighbours.
        position_weight: Share of position beside colour's 1; 0 leaves it out.
        exponent: Of both distances, 0.1 to 8: 2 is a Gaussian, 1 an exponential.
        counts_itself: Whether s_i also covers the pixel itself, once a dilation.

    Raises:
        InputError: A value is out of its range or not finite.

    References:
        Ru et al., Learning Affinity from Attention, CVPR 2022, arXiv:2203.02664.
        Araslanov and Roth, Single-Stage Semantic Segmentation from Image Labels, CVPR 2020,
        arXiv:2005.08104.
    """

    dilations: tuple[int, ...] = (1, 2, 4, 8, 12, 24)
    iterations: int = 10
    colour_temperature: float = 0.3
    position_temperature: float = 0.3
    position_weight: float = 0.01
    exponent: float = 2
    counts_itself: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.dilations, tuple) or not self.dilations:
            rule = "a tuple of at least one number"
            raise InputError("par.dilations", rule, repr(self.dilations), "set par.dilations")
        for dilation in self.dilations:
            check_whole("par.dilations", dilation, least=1)
        check_whole("par.iterations", self.iterations)
        check_number("par.colour_temperature", self.colour_temperature, least=0.001)
        check_number("par.position_temperature", self.position_temperature, least=0.001)
        check_number("par.position_weight", self.position_weight)
        check_number("par.exponent", self.exponent, least=0.1, most=8)


PAR = PARParams()
"""Learning Affinity from Attention (AFA), arXiv:2203.02664."""

PAMR = PARParams(colour_temperature=0.1, position_weight=0, exponent=1, counts_itself=True)
"""Single-Stage Semantic Segmentation from Image Labels, arXiv:2005.08104, as its authors'
program computes it; the paper itself writes |I_i - I_j| / s_i^2."""


def par(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
    params: PARParams = PAR,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return scores that have spread among neighbours of like colour.

    Each iteration replaces the probabilities of a pixel by the weighted mean of its neighbours'
    (see ``PARParams``), sets classes it may not take to 0 and lets the rest sum to 1 again; a
    pixel whose neighbours know no class that it may take keeps its own. Deterministic.

    Memory: 8 x dilations floats a pixel (192 bytes with the defaults), whatever C is, and some
    copies of the scores.

    Args:
        image: (H, W, 3) uint8 RGB as photographed, never normalised.
        scores: (C, H, W) probabilities or other scores of at least 0 over the C classes that can
            occur; where all allowed classes have 0 they are equally likely.
        allowed: (C, H, W) bool, at least one True a pixel; None allows everything.
        params: ``PAR``, ``PAMR`` or others.
        device: Of torch; "auto" is CUDA where there is one, else the CPU.

    Returns:
        (C, H, W) float32 probabilities that sum to 1 over C, exactly 0 where not allowed.

    Raises:
        InputError: An argument has the wrong shape or type, scores are negative or not finite, a
            pixel has no allowed class, or torch cannot use the device.

    References:
        Ru et al., arXiv:2203.02664; Araslanov and Roth, arXiv:2005.08104.

    Example:
        >>> image = np.array([[[0] * 3, [0] * 3, [255] * 3]], np.uint8)
        >>> scores = np.array([[[0.9, 0.5, 0.1]], [[0.1, 0.5, 0.9]]])
        >>> par(image, scores, params=PARParams(dilations=(1,))).argmax(axis=0).tolist()
        [[0, 0, 1]]
    """
    given = None if allowed is None else [allowed]
    return par_batch([image], [scores], allowed=given, params=params, device=device)[0]


def par_batch(
    images: Sequence[NDArray[np.uint8]],
    scores: Sequence[NDArray[np.floating]],
    *,
    allowed: Sequence[NDArray[np.bool_] | None] | None = None,
    params: PARParams = PAR,
    device: str = "auto",
) -> list[NDArray[np.float32]]:
    """Return what ``par`` does to each of some images of any sizes.

    On CUDA images of one size and number of classes are computed together, so that each of them
    needs the memory that ``par`` states at the same time; on the CPU, where that would only be
    slower, one after the other. None is padded or resized.

    Args:
        images: (H, W, 3) uint8 RGB each.
        scores: (C, H, W) for each image.
        allowed: (C, H, W) bool or None for each image; None allows everything everywhere.
        params: ``PAR``, ``PAMR`` or others.
        device: Of torch; "auto" is CUDA where there is one, else the CPU.

    Returns:
        (C, H, W) float32 probabilities for each image, in the order of the images.

    Raises:
        InputError: As ``par``, or the numbers of images, scores and constraints differ.
    """
    given = check_batch(images, scores, allowed)
    masks = [
        np.ones(each.shape, bool) if mask is None else mask
        for each, mask in zip(scores, given, strict=True)
    ]
    chosen = _device(device)
    refined: dict[int, NDArray[np.float32]] = {}
    for members in _together(scores, chosen):
        pixels = torch.from_numpy(np.stack([images[i] for i in members])).to(chosen)
        start = torch.from_numpy(np.stack([normalised(scores[i], masks[i]) for i in members]))
        possible = torch.from_numpy(np.stack([masks[i] for i in members])).to(chosen)
        found = _refined(pixels, start.to(chosen), possible, params).cpu().numpy()
        refined.update(zip(members, found, strict=True))
    return [refined[i] for i in range(len(images))]


def _refined(images: Tensor, probabilities: Tensor, allowed: Tensor, params: PARParams) -> Tensor:
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
    contrast = _contrast(pixels, params)
    size = (len(_AROUND) * len(params.dilations), len(pixels), 1, *pixels.shape[2:])
    weights = pixels.new_empty(size)
    for weight, neighbour in zip(weights, _neighbours(pixels, params.dilations), strict=True):
        apart = (neighbour - pixels).mul_(contrast).abs_().pow_(params.exponent)
        torch.mean(apart, dim=1, keepdim=True, out=weight)
    weights.sub_(weights.amin(dim=0)).neg_().exp_()
    weights /= weights.sum(dim=0)
    if params.position_weight:
        weights += params.position_weight * _position(params).to(weights).view(-1, 1, 1, 1, 1)
        weights /= 1 + params.position_weight
    return weights


def _contrast(pixels: Tensor, params: PARParams) -> Tensor:
    """Return 1 / (temperature x local standard deviation), 0 where there is none, (B, 3, H, W)."""
    total, squares = torch.zeros_like(pixels), torch.zeros_like(pixels)
    for neighbour in _neighbours(pixels, params.dilations):
        apart = neighbour - pixels
        total += apart
        squares.addcmul_(apart, apart)
    count = (len(_AROUND) + params.counts_itself) * len(params.dilations)
    # whole numbers: sums stay exact for up to 32 dilations, and no deviation is 0
    scatter = count * squares.long() - total.long() ** 2
    deviation = (scatter / (count * (count - 1))).sqrt()
    return torch.where(scatter > 0, 1 / (params.colour_temperature * deviation), 0)


def _position(params: PARParams) -> Tensor:
    lengths = [d * math.hypot(*step) for d in params.dilations for step in _AROUND]
    apart = torch.tensor(lengths)
    scaled = apart / (params.position_temperature * apart.std())
    return (-(scaled**params.exponent)).softmax(dim=0)


def _neighbours(values: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """Yield views (B, C, H, W) of every pixel's neighbour, dilation by dilation."""
    height, width = values.shape[2:]
    below, beside = min(max(dilations), height), min(max(dilations), width)
    padded = functional.pad(values, [beside, beside, below, below], mode="replicate")
    for step in dilations:
        for down, right in _AROUND:
            top, left = below + min(step, below) * down, beside + min(step, beside) * right
            yield padded[..., top : top + height, left : left + width]


def _together(scores: Sequence[NDArray[np.floating]], device: torch.device) -> list[list[int]]:
    if device.type == "cpu":
        return [[index] for index in range(len(scores))]
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, each in enumerate(scores):
        groups.setdefault(each.shape, []).append(index)
    return list(groups.values())


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        remedy = "choose auto, cpu or cuda"
        raise InputError("device", "one that torch can use here", repr(name), remedy) from error
