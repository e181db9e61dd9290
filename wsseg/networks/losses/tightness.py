"""Box tightness: every row and column of a box contains a pixel of its class."""

import torch
from torch import Tensor


def tightness(
    logits: Tensor, row_boxes: Tensor, column_boxes: Tensor, box_labels: Tensor
) -> Tensor:
    """Return the mean over rows and columns of boxes of -log(highest probability of the class).

    As a box is tight, none of its rows and columns is background alone. Rows that touch the left or
    right edge of the crop may be cut off and are left out, as are columns that touch its upper or
    lower edge. Computed in float32 or better, also under autocast.

    Args:
        logits: (N, K, H, W) float.
        row_boxes: (N, H, W) int64: the number of the box of each pixel, from 1 in each image, where
            the row of the box is visible from side to side; 0 elsewhere.
        column_boxes: (N, H, W) int64, the same for columns.
        box_labels: (N, H, W) int64: the class of the box of each pixel; 0 outside of boxes.

    Returns:
        Scalar; 0 if there is no such row or column.

    References:
        Hsu et al., Weakly Supervised Instance Segmentation using the Bounding Box Tightness Prior,
        NeurIPS 2019 (positive bags); Tian et al., BoxInst, arXiv:2012.02310 (projections).

    Example:
        >>> boxes = torch.zeros(1, 4, 4, dtype=torch.int64)
        >>> boxes[:, 1:3, 1:3] = 1
        >>> round(tightness(torch.zeros(1, 2, 4, 4), boxes, boxes, boxes).item(), 4)  # log 2
        0.6931
    """
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    scores = exact.log_softmax(dim=1).gather(1, box_labels[:, None])[:, 0]
    rows, columns = _best_of_rows(scores, row_boxes), _best_of_rows(scores.mT, column_boxes.mT)
    return -(rows.sum() + columns.sum()) / max(1, len(rows) + len(columns))


def _best_of_rows(scores: Tensor, boxes: Tensor) -> Tensor:
    """Return the highest score of each row of each box that does not touch the sides of the crop.

    Args:
        scores: (N, H, W) float.
        boxes: (N, H, W) int64, as ``row_boxes``.
    """
    count, height, width = scores.shape
    image, y, x = torch.nonzero(boxes, as_tuple=True)
    rows, row = torch.unique((boxes[image, y, x] * count + image) * height + y, return_inverse=True)
    left, right, best = (
        values.new_zeros(len(rows)).scatter_reduce(0, row, values, how, include_self=False)
        for values, how in ((x, "amin"), (x, "amax"), (scores[image, y, x], "amax"))
    )
    return best[(left > 0) & (right < width - 1)]
