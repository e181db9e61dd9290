"""Box tightness: every row and column of a box contains a pixel of its class."""

import torch
from torch import Tensor

NO_BOX = 0
"""The number of pixels outside all boxes."""


def tightness(logits: Tensor, boxes: Tensor, box_labels: Tensor) -> Tensor:
    """Return the mean over rows and columns of boxes of -log(highest probability of the class).

    As a box is tight, none of its rows and columns is background alone. Only rows and columns are
    used that are seen from one side of the box to the other: not those that the crop cuts off, nor
    those that another box hides in part.

    Args:
        logits: (N, K, H, W) float.
        boxes: (N, H, W) int64: the number of the visible box of each pixel, from 1 in each image,
            and 0 outside of boxes.
        box_labels: (N, H, W) int64: the class of that box, 0 outside of boxes.

    Returns:
        Scalar; 0 if there is no such row or column.

    References:
        Hsu et al., Weakly Supervised Instance Segmentation using the Bounding Box Tightness Prior,
        NeurIPS 2019 (positive bags); Tian et al., BoxInst, arXiv:2012.02310 (projections).

    Example:
        >>> boxes = torch.zeros(1, 4, 4, dtype=torch.int64)
        >>> boxes[:, 1:3, 1:3] = 1
        >>> round(tightness(torch.zeros(1, 2, 4, 4), boxes, boxes).item(), 4)  # log 2
        0.6931
    """
    n_boxes = int(boxes.max()) + 1 if boxes.numel() else 0
    scores = logits.log_softmax(dim=1).gather(1, box_labels[:, None])[:, 0]
    numbers = boxes + n_boxes * torch.arange(len(boxes), device=boxes.device)[:, None, None]
    lines = [
        _best_of_rows(scores, boxes, numbers),
        _best_of_rows(scores.mT, boxes.mT, numbers.mT),
    ]
    best = torch.cat(lines)
    return -best.sum() / max(1, len(best))


def _best_of_rows(scores: Tensor, boxes: Tensor, numbers: Tensor) -> Tensor:
    """Return the highest score of each complete row of each box.

    Args:
        scores: (N, H, W) float.
        numbers: (N, H, W) int64: the number of the box among those of all images.
    """
    _, height, width = scores.shape
    chosen = boxes != NO_BOX
    box = numbers[chosen]
    _, y, x = torch.nonzero(chosen, as_tuple=True)
    count = int(box.max()) + 1 if len(box) else 0
    left = _reduced(x, box, count, "amin")
    right = _reduced(x, box, count, "amax")
    row = box * height + y
    lengths = torch.bincount(row, minlength=count * height)
    sides = right - left + 1
    is_seen = (left > 0) & (right < width - 1)
    complete = (lengths.view(count, height) == sides[:, None]) & is_seen[:, None]
    best = _reduced(scores[chosen], row, count * height, "amax")
    return best[complete.flatten() & (lengths > 0)]


def _reduced(values: Tensor, groups: Tensor, count: int, how: str) -> Tensor:
    """Return the smallest or largest value of each group; 0 of an empty one."""
    return values.new_zeros(count).scatter_reduce(0, groups, values, how, include_self=False)
