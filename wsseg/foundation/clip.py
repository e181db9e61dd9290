"""CLIP: features of texts, and where in an image it finds what a text says."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.foundation.load import LoadedModel, enough_memory
from wsseg.foundation.pixels import input_pixels, whole_patches

_LAST_BLOCKS = 8  # whose attention is averaged
_SINKHORN_STEPS = 3
_STRONG = 0.4  # share of the maximum of a map; the affinity starts in boxes around stronger cells


@lru_cache(maxsize=4)
def text_features(loaded: LoadedModel, phrases: tuple[tuple[str, ...], ...]) -> Tensor:
    """Return the features of K meanings, each the mean over the phrases that express it.

    The last results are kept, so that a process computes them once for all images.

    Returns:
        (K, D) of length 1, on the device of the model.

    Raises:
        InputError: A phrase has more tokens than the model reads.
    """
    flat = [phrase for of_one in phrases for phrase in of_one]
    tokens = tokens_of(loaded, flat, "cam.clip")
    with enough_memory(loaded.weights.name), torch.no_grad():
        features = loaded.model.get_text_features(**tokens).pooler_output
    rows = iter(functional.normalize(features, dim=-1))
    means = [torch.stack([next(rows) for _ in of_one]).mean(dim=0) for of_one in phrases]
    return functional.normalize(torch.stack(means), dim=-1)


def tokens_of(loaded: LoadedModel, phrases: list[str], setting: str) -> Any:
    """Return the tokens of phrases on the device of a model.

    Raises:
        InputError: A phrase has more tokens than the model reads; the error names the setting.
    """
    # A SAM 3 reads texts of a fixed length, padded, and CLIP ignores what follows the end.
    most = loaded.model.config.text_config.max_position_embeddings
    tokens = loaded.processor.tokenizer(
        phrases, padding="max_length", max_length=most, return_tensors="pt"
    )
    if tokens["input_ids"].shape[1] > most:
        longest = max(phrases, key=len)
        rule = f"phrases of at most {most} tokens"
        raise InputError(setting, rule, repr(longest), "shorten it")
    return tokens.to(loaded.device)


def text_maps(
    loaded: LoadedModel, image: NDArray[np.uint8], texts: Tensor, count: int
) -> NDArray[np.float32]:
    """Return maps of where the image shows the first ``count`` of K texts rather than the others.

    Softmax Grad-CAM at the input of the last block, propagated once by an affinity of the attention
    (see ``gradient_maps`` and ``attention_affinity``). Only cells inside boxes around the strong
    parts of a map propagate. The maps of the image and of its mirror image are added.

    Args:
        loaded: A CLIP model that was loaded with the attention "eager".
        image: (H, W, 3) uint8 RGB of any size; resized to a longer side of ``LONGER_SIDE``.
        texts: (K, D) of ``text_features``.

    Returns:
        (count, h, w) float32 of at least 0, a cell for each patch.

    References:
        Lin et al., CLIP is Also an Efficient Segmenter (CLIP-ES), CVPR 2023, arXiv:2212.09506.
    """
    patch = loaded.model.config.vision_config.patch_size
    size = whole_patches(image.shape, patch)
    pixels = input_pixels(loaded, image, (size[0] * patch, size[1] * patch))
    views = torch.cat([pixels, pixels.flip(3)])
    with enough_memory(loaded.weights.name):
        maps, attention = gradient_maps(loaded.model, views, texts, count)
        cells = spread_from_boxes(maps.reshape(2, count, *size), attention_affinity(attention))
    summed: NDArray[np.float32] = (cells[0] + cells[1].flip(2)).cpu().numpy()
    return summed


def gradient_maps(model: Any, pixels: Tensor, texts: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the softmax Grad-CAM of some texts, and the attention between patches.

    The score of a text is its probability among all K texts, for the mean feature of the patches.
    A map is the positive part of the sum of the channels at the first layer norm of the last block,
    each weighted by the mean of the gradient of the score.

    Nothing of the model is changed, so that several threads may use one model.

    Args:
        model: A ``CLIPModel``.
        pixels: (N, 3, H, W), normalised; the sides are multiples of the patch.
        texts: (K, D) of length 1.
        count: Number of texts, from the first, that get a map.

    Returns:
        Maps (N, count, P) of the P patches, and the mean attention (N, P, P) over the heads of the
        last 8 blocks; row i says where patch i looks.
    """
    vision = model.vision_model
    *blocks, last = vision.encoder.layers
    attention = []
    with torch.no_grad():
        hidden = vision.pre_layrnorm(vision.embeddings(pixels, interpolate_pos_encoding=True))
        for block in blocks:
            hidden, weights = _after_norm(block, hidden, block.layer_norm1(hidden))
            attention.append(weights)
        normed = last.layer_norm1(hidden)
    with torch.enable_grad():
        normed.requires_grad_()
        final, weights = _after_norm(last, hidden, normed)
        attention.append(weights.detach())
        pooled = vision.post_layernorm(final)[:, 1:].mean(dim=1)
        features = functional.normalize(model.visual_projection(pooled), dim=-1)
        scores = (model.logit_scale.exp() * features @ texts.T).softmax(dim=-1)
        # The images of a batch do not influence each other, so one pass back serves all.
        gradients = [
            torch.autograd.grad(scores[:, text].sum(), normed, retain_graph=True)[0]
            for text in range(count)
        ]
    shares = torch.stack(gradients, dim=1)[:, :, 1:].mean(dim=2)
    maps = torch.einsum("npd,ntd->ntp", normed.detach()[:, 1:], shares).relu()
    return maps, torch.stack(attention[-_LAST_BLOCKS:]).mean(dim=0)[:, 1:, 1:]


def _after_norm(block: Any, hidden: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output of a block, and its attention (N, 1 + P, 1 + P), the mean of the heads."""
    attended, weights = block.self_attn(normed, attention_mask=None)
    middle = hidden + attended
    return middle + block.mlp(block.layer_norm2(middle)), weights.mean(dim=1)


def attention_affinity(attention: Tensor) -> Tensor:
    """Return the affinity of patches: attention, doubly normalised, symmetric and squared.

    Args:
        attention: (N, P, P), above 0.

    Returns:
        (N, P, P), symmetric; each row sums to about 1.
    """
    balanced = sinkhorn(attention)
    symmetric = (balanced + balanced.mT) / 2
    return symmetric @ symmetric


def sinkhorn(matrix: Tensor, steps: int = _SINKHORN_STEPS) -> Tensor:
    """Return a matrix whose columns and rows have been divided by their sums, several times.

    Args:
        matrix: (..., P, P), above 0.

    Returns:
        (..., P, P); each row sums to 1, each column to about 1.

    References:
        Sinkhorn, A relationship between arbitrary positive matrices and doubly stochastic
        matrices, 1964, doi:10.1214/aoms/1177703591.
    """
    for _ in range(steps):
        matrix = matrix / matrix.sum(dim=-2, keepdim=True)
        matrix = matrix / matrix.sum(dim=-1, keepdim=True)
    return matrix


def spread_from_boxes(maps: Tensor, affinity: Tensor) -> Tensor:
    """Return maps after one step along an affinity, from cells inside ``strong_boxes`` alone.

    Args:
        maps: (N, T, h, w) of at least 0.
        affinity: (N, P, P) with P = h w.

    Returns:
        (N, T, h, w): the affinity of each cell times the map inside the boxes.
    """
    boxes = np.stack([[strong_boxes(m) for m in of_image] for of_image in maps.cpu().numpy()])
    inside = (maps * torch.from_numpy(boxes).to(maps.device)).flatten(2)
    return torch.einsum("nij,ntj->nti", affinity, inside).reshape(maps.shape)


def strong_boxes(cells: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the union of the bounding boxes of the connected strong parts of a map.

    Args:
        cells: (h, w) of at least 0; a cell above 0.4 of the maximum is strong.

    Returns:
        (h, w) bool; False everywhere if the map is 0 everywhere.

    Example:
        >>> strong_boxes(np.array([[0, 5, 1, 0], [9, 0, 1, 0]], np.float32)).astype(int).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0]]
    """
    parts, _ = ndimage.label(cells > _STRONG * cells.max(), np.ones((3, 3)))
    mask = np.zeros(cells.shape, bool)
    for box in ndimage.find_objects(parts):
        mask[box] = True
    return mask


def phrases_of(
    names: Sequence[str], synonyms: dict[str, tuple[str, ...]], prompt: str
) -> tuple[tuple[str, ...], ...]:
    """Return the phrases of each name: the prompt, with its synonyms or itself in place of {}."""
    words = [synonyms.get(name) or (name.replace("_", " "),) for name in names]
    return tuple(tuple(prompt.replace("{}", word) for word in of_one) for of_one in words)
