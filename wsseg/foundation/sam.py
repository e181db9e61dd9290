"""Segment Anything models (SAM 1, 2 and 3) behind one interface: encode once, then decode."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsseg.errors import InputError
from wsseg.foundation.load import LoadedModel, enough_memory

_PER_CALL = {"cpu": 8, "cuda": 32}  # prompts that are decoded at once; bounds the memory
A = TypeVar("A")
B = TypeVar("B")

_OUTSIDE = -30.0  # logit of a mask prompt beyond the image, where SAM 1 pads it


@dataclass(frozen=True, eq=False)
class Prompt:
    """A description of one object in an image.

    Attributes:
        box: (left, top, right, bottom) in pixels.
        points: (n, 2) float, each (x, y): column and row of a pixel.
        positive: (n,) bool: True for points on the object, False for points beside it.
        mask: (h, w) float32 logits of the image in any resolution.
    """

    box: tuple[float, float, float, float] | None = None
    points: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 2)))
    positive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    mask: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Embedding:
    """The result of the image encoder.

    Attributes:
        tensors: Feature maps of one image, (1, D, h, w) each.
        size: (H, W) of the image.
        frame: (height, width) of the image in the square input of the model; SAM 1 keeps its
            proportions, later models fill the square.
        side: Side of that square in pixels.
    """

    tensors: tuple[Tensor, ...]
    size: tuple[int, int]
    frame: tuple[int, int]
    side: int

    @property
    def features(self) -> NDArray[np.float32]:
        """(D, h, w) float32: the coarsest feature map; the image covers ``extent`` of it."""
        return np.asarray(self.tensors[-1][0].float().cpu(), np.float32)

    def extent(self, cells: int) -> tuple[float, float]:
        """Return how many rows and columns the image covers of a map of the square input.

        Args:
            cells: Rows and columns of the map.
        """
        height, width = (length * cells / self.side for length in self.frame)
        return height, width


@dataclass(frozen=True, eq=False)
class Masks:
    """The masks that a model proposes for N prompts, M for each.

    Attributes:
        logits: (N, M, h, w) float32 at the resolution of the decoder; the image covers
            ``extent``, the rest is padding.
        iou: (N, M) float32: the IoU with the object that the model expects, about 0..1.
        size: (H, W) of the image.
        extent: (rows, columns) of the logits that the image covers, perhaps fractions.
    """

    logits: NDArray[np.float32]
    iou: NDArray[np.float32]
    size: tuple[int, int]
    extent: tuple[float, float]

    def resample(
        self,
        logits: NDArray[np.float32],
        window: tuple[slice, slice],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.float32]:
        """Return logits in a window of the image, interpolated bilinearly.

        Args:
            logits: (..., h, w) at the resolution of ``self.logits``.
            window: Rows and columns of the image.
            size: (rows, columns) of the result; by default those of the window.

        Returns:
            (..., rows, columns) float32; at the window's own size the pixels are those of
            ``post_process_masks`` of transformers.
        """
        rows, columns = (
            _positions(part, count, of_image, covered)
            for part, count, of_image, covered in zip(
                window, size or (None, None), self.size, self.extent, strict=True
            )
        )
        return _interpolate(_interpolate(logits, rows, axis=-2), columns, axis=-1)


class PromptedModel(Protocol):
    """A model that answers prompts with masks, such as ``CachedSam``."""

    def embedding(self, image: NDArray[np.uint8]) -> Embedding:
        """Return the embedding of an image (H, W, 3) uint8 RGB."""

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> Masks:
        """Return some masks for each prompt."""


class Sam:
    """A promptable segmentation model; methods may be called from several threads.

    Args:
        loaded: A model of the family "SAM".

    Attributes:
        weights: The files of the model.
        device: The device of the model.

    References:
        Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643; Ravi et al., SAM 2, 2024,
        arXiv:2408.00714; Carion et al., SAM 3, 2025, arXiv:2511.16719.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.weights = loaded.weights
        self._model, self._processor = loaded.model, loaded.processor
        self.device = loaded.device
        self._lock = threading.Lock()
        encoder = self._model.prompt_encoder
        self._side = int(encoder.input_image_size)
        self._mask_side = 4 * int(encoder.image_embedding_size[0])

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Embedding]:
        """Return the embeddings of images, which share a pass through the encoder.

        If the memory of the GPU does not suffice, the images are encoded in smaller batches.

        Args:
            images: Each (H, W, 3) uint8 RGB of any size.

        Raises:
            MachineError: The memory of the GPU does not suffice for one image.
        """
        return _in_parts(self._encode, images, self.weights.name)

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> Masks:
        """Return three masks for each prompt.

        Prompts of the same form are decoded together, so that none is padded, and fewer together if
        the memory of the GPU does not suffice.

        Raises:
            InputError: A box or a point of a prompt lies outside of the image.
            MachineError: The memory of the GPU does not suffice for one prompt.
        """
        for prompt in prompts:
            _check_inside(prompt, embedding.size)
        side = self._mask_side
        logits = np.zeros((len(prompts), 3, side, side), np.float32)
        iou = np.zeros((len(prompts), 3), np.float32)
        for indices in _chunks_of_one_form(prompts, _PER_CALL[self.device.type]):
            chosen = [prompts[i] for i in indices]
            answers = _in_parts(partial(self._decode, embedding), chosen, self.weights.name)
            logits[indices] = [answer[0] for answer in answers]
            iou[indices] = [answer[1] for answer in answers]
        return Masks(logits, iou, embedding.size, embedding.extent(self._mask_side))

    def _encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Embedding]:
        square = (self._side, self._side)
        copies = [image.copy() for image in images]  # torch warns of arrays it cannot write to
        # Without the format, images of three rows would be taken for three channels.
        inputs = self._processor.image_processor(
            images=copies, return_tensors="pt", input_data_format="channels_last"
        )
        frames = inputs.get("reshaped_input_sizes")
        with self._lock, torch.inference_mode():
            maps = self._model.get_image_embeddings(inputs["pixel_values"].to(self.device))
        levels = [maps] if isinstance(maps, Tensor) else list(maps)
        return [
            Embedding(
                tuple(level[i : i + 1] for level in levels),
                (image.shape[0], image.shape[1]),
                square if frames is None else (int(frames[i][0]), int(frames[i][1])),
                self._side,
            )
            for i, image in enumerate(images)
        ]

    def _decode(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return logits (3, h, w) and predicted IoU (3,) of prompts of one form."""
        with self._lock, torch.inference_mode():
            output = self._forward(embedding, prompts)
        side = self._mask_side
        masks = output.pred_masks.float().cpu().numpy().reshape(-1, 3, side, side)
        return list(zip(masks, output.iou_scores.float().cpu().numpy().reshape(-1, 3), strict=True))

    def _forward(self, embedding: Embedding, prompts: Sequence[Prompt]) -> Any:
        arguments: dict[str, Tensor] = {}
        scale = np.divide(embedding.frame, embedding.size)[::-1]  # of x and y
        if prompts[0].box is not None:
            boxes = np.array([p.box for p in prompts]) * [*scale, *scale]
            arguments["input_boxes"] = self._tensor(boxes)[None]
        if len(prompts[0].points):
            points = np.stack([p.points for p in prompts]) * scale
            positive = torch.from_numpy(np.stack([p.positive for p in prompts]))
            arguments["input_points"] = self._tensor(points)[None]
            arguments["input_labels"] = positive.int().to(self.device)[None]
        tensors = list(embedding.tensors)
        if prompts[0].mask is not None:
            # The models take one mask prompt per image, so each prompt becomes an image.
            arguments = {name: value.transpose(0, 1) for name, value in arguments.items()}
            masks = [self._mask_prompt(p.mask, embedding) for p in prompts if p.mask is not None]
            arguments["input_masks"] = self._tensor(np.stack(masks))[:, None]
            tensors = [t.expand(len(prompts), *t.shape[1:]) for t in tensors]
        maps = tensors if len(tensors) > 1 else tensors[0]
        return self._model(image_embeddings=maps, multimask_output=True, **arguments)

    def _tensor(self, values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _mask_prompt(self, mask: NDArray[np.float32], embedding: Embedding) -> NDArray[np.float32]:
        """Return a mask prompt at the resolution of the prompt encoder, padded as the image."""
        height, width = (max(1, round(side)) for side in embedding.extent(self._mask_side))
        shrinks = height < mask.shape[0] or width < mask.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        prompt = np.full((self._mask_side,) * 2, _OUTSIDE, np.float32)
        prompt[:height, :width] = cv2.resize(mask, (width, height), interpolation=interpolation)
        return prompt


def _check_inside(prompt: Prompt, size: tuple[int, int]) -> None:
    """Raise an InputError if a box or a point lies outside of an image (H, W)."""
    height, width = size
    box = prompt.box or (0, 0, width, height)
    is_inside = 0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height
    if not (is_inside and ((prompt.points >= 0) & (prompt.points <= [width, height])).all()):
        rule, got = f"inside the image of {height} x {width} pixels", f"{box}, {prompt.points}"
        raise InputError("The box and the points of a prompt", rule, got, "clip them to the image")


def _in_parts(work: Callable[[Sequence[A]], list[B]], items: Sequence[A], name: str) -> list[B]:
    """Return the results of items; a GPU whose memory does not suffice gets half of them.

    Raises:
        MachineError: The memory does not suffice for one item of the model ``name``.
    """
    if len(items) == 1:
        with enough_memory(name):
            return work(items)
    try:
        return work(items)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
    half = len(items) // 2
    return _in_parts(work, items[:half], name) + _in_parts(work, items[half:], name)


def _chunks_of_one_form(prompts: Sequence[Prompt], size: int) -> Iterator[list[int]]:
    """Yield indices of prompts that have a box, as many points and a mask alike."""
    groups: dict[tuple[bool, int, bool], list[int]] = {}
    for index, prompt in enumerate(prompts):
        form = (prompt.box is None, len(prompt.points), prompt.mask is None)
        groups.setdefault(form, []).append(index)
    for group in groups.values():
        yield from (group[i : i + size] for i in range(0, len(group), size))


def _positions(
    window: slice, count: int | None, of_image: int, covered: float
) -> NDArray[np.float64]:
    """Return the positions of the centres of ``count`` pixels of a window on an axis of logits."""
    start, stop, _ = window.indices(of_image)
    count = count or stop - start
    centres = start + (np.arange(count) + 0.5) * (stop - start) / count
    return centres * covered / of_image - 0.5


def _interpolate(
    values: NDArray[np.float32], positions: NDArray[np.float64], axis: int
) -> NDArray[np.float32]:
    """Return values at fractional positions along an axis; beyond the ends they are constant."""
    inside = positions.clip(0, values.shape[axis] - 1)
    lower = np.floor(inside).astype(int)
    upper = np.minimum(lower + 1, values.shape[axis] - 1)
    share = (inside - lower).astype(np.float32)
    shares = share[:, None] if axis == -2 else share
    below, above = values.take(lower, axis), values.take(upper, axis)
    return np.asarray(below * (1 - shares) + above * shares, np.float32)
