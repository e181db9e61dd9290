"""Images, masks and prompts as ``tiny_sam`` learns from them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.tiny_sam_scenes import Rng, Scene

SIDE = 256
"""Longer side of the model's input in pixels; the shorter one is padded."""

LOW = SIDE // 4
"""Side of the masks that the model returns, and takes as prompts."""

OBJECTS = 3
"""Objects of an image that are prompted."""

KINDS = ("box", "box and point", "points", "mask and box", "mask")
"""The kinds of first prompts."""

_PIXEL_MEAN = (123.675, 116.28, 103.53)
_PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Batch:
    """Scenes as the model takes them, N = images x ``OBJECTS`` objects.

    Attributes:
        pixels: (images, 3, SIDE, SIDE) normalised images.
        masks: (N, LOW, LOW) share of each pixel that the object covers.
        boxes: (N, 4) in pixels of the input.
        inputs: Images (h, w) before the padding, one pair for each object.
    """

    pixels: Tensor
    masks: Tensor
    boxes: Tensor
    inputs: Tensor


def batch_of(scenes: list[Scene], rng: Rng) -> Batch:
    """Return scenes with ``OBJECTS`` random objects each as a batch."""
    columns = zip(*(_inputs_of(scene, rng) for scene in scenes), strict=True)
    pixels, masks, boxes, inputs = (np.concatenate(column) for column in columns)
    mean, std = torch.tensor(_PIXEL_MEAN), torch.tensor(_PIXEL_STD)
    padded = torch.from_numpy(pixels)
    inside = padded[..., :1] >= 0
    normalised = torch.where(inside, (padded - mean) / std, 0).permute(0, 3, 1, 2).contiguous()
    tensors = (torch.from_numpy(array.astype(np.float32)) for array in (masks, boxes, inputs))
    return Batch(normalised, *tensors)


def _inputs_of(scene: Scene, rng: Rng) -> tuple[NDArray[Any], ...]:
    height, width = scene.image.shape[:2]
    scale = SIDE / max(height, width)
    size = round(height * scale), round(width * scale)
    # The image as the processor scales it; -1 marks the padding, which is 0 after normalisation.
    pixels = np.full((1, SIDE, SIDE, 3), -1, np.float32)
    way = cv2.INTER_LINEAR if scale >= 1 else cv2.INTER_AREA
    pixels[0, : size[0], : size[1]] = cv2.resize(scene.image, size[::-1], interpolation=way)
    count = len(scene.masks)
    chosen = rng.permutation(count)[:OBJECTS]
    chosen = np.concatenate([chosen, rng.integers(0, count, OBJECTS - len(chosen))])
    full = np.zeros((OBJECTS, SIDE, SIDE), np.float32)
    boxes = np.zeros((OBJECTS, 4))
    for number, index in enumerate(chosen):
        mask = scene.masks[index]
        resized = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
        full[number, : size[0], : size[1]] = resized
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        boxes[number] = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    low = full.reshape(OBJECTS, LOW, 4, LOW, 4).mean(axis=(2, 4))
    return pixels, low, boxes * scale, np.tile(np.array([size]), (OBJECTS, 1))


def first_prompts(batch: Batch, kind: str, rng: Rng) -> dict[str, Tensor]:
    """Return prompts of one kind for the objects of a batch."""
    prompts: dict[str, Tensor] = {}
    if "box" in kind:
        prompts["input_boxes"] = _jitter(batch, rng)[:, None]
    if "point" in kind:
        count = 1 if "box" in kind else int(rng.integers(1, 5))
        prompts |= _points(batch.masks > 0.5, batch.masks < 0.1, count, rng)
    if "mask" in kind:
        prompts["input_masks"] = _rough_masks(batch.masks, rng)
    return prompts


def _jitter(batch: Batch, rng: Rng) -> Tensor:
    """Move the edges of three boxes of four by a few per cent of the sides, up to the image's."""
    sides = (batch.boxes[:, 2:] - batch.boxes[:, :2]).repeat(1, 2)
    shares = rng.normal(0, 0.05, sides.shape) * (rng.random((len(sides), 1)) < 0.75)
    moved = batch.boxes + torch.from_numpy(shares.astype(np.float32)).clamp(-0.15, 0.15) * sides
    return torch.minimum(moved.clamp(min=0), batch.inputs.flip(1).repeat(1, 2))


def _points(inside: Tensor, outside: Tensor, count: int, rng: Rng) -> dict[str, Tensor]:
    """Draw points (N, 1, count, 2) and their labels; the first is positive, 1 of 3 others not."""
    labels = (torch.from_numpy(rng.random((len(inside), count))) < 0.67).long()
    labels[:, 0] = 1
    columns = []
    for number in range(count):
        positive = labels[:, number, None, None] == 1
        columns.append(_pick(torch.where(positive, inside, outside), rng))
    return {"input_points": torch.stack(columns, 1)[:, None], "input_labels": labels[:, None]}


def _pick(allowed: Tensor, rng: Rng) -> Tensor:
    """Return a random position (N, 2), as (x, y) of the input, where a mask is True."""
    noise = torch.from_numpy(rng.random(allowed.shape, dtype=np.float32))
    place = (noise * allowed).flatten(1).argmax(dim=1)
    low = torch.stack([place % LOW, place // LOW], dim=1)
    return (low + 0.5) * (SIDE / LOW) - 0.5


def _rough_masks(masks: Tensor, rng: Rng) -> Tensor:
    """Return logits (N, 1, LOW, LOW) of masks that were blurred, grown or shrunk."""
    blurred = [cv2.GaussianBlur(mask.numpy(), (0, 0), rng.uniform(0.5, 5)) for mask in masks]
    level = rng.uniform(0.3, 0.6, (len(masks), 1, 1)).astype(np.float32)
    strength = np.exp(rng.uniform(1, 4, (len(masks), 1, 1))).astype(np.float32)
    return torch.from_numpy((np.stack(blurred) - level) * strength)[:, None]


def corrections(batch: Batch, logits: Tensor, rng: Rng) -> dict[str, Tensor]:
    """Return earlier results as prompts, mostly with a box or a point where they are wrong."""
    prompts = {"input_masks": logits[:, None]}
    if rng.random() < 0.6:
        prompts["input_boxes"] = _jitter(batch, rng)[:, None]
    if rng.random() < 0.6:
        true, found = batch.masks > 0.5, logits > 0
        wrong = true ^ found
        right = ~wrong.flatten(1).any(dim=1)
        wrong[right] = true[right]
        point = _pick(wrong, rng)
        low = ((point + 0.5) * (LOW / SIDE)).long()
        label = true[torch.arange(len(true)), low[:, 1], low[:, 0]].long()
        prompts |= {"input_points": point[:, None, None], "input_labels": label[:, None, None]}
    return prompts
