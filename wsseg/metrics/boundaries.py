"""Boundary F1 and boundary IoU of label maps, from counts that add up over images."""

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.labelmaps import IGNORE
from wsseg.metrics.segmentation import check_maps

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)).astype(np.uint8)


def boundary_width(size: tuple[int, int], share: float = 0.01) -> float:
    """Return a boundary's tolerance in pixels, as a share of the diagonal of an image (H, W).

    Example:
        >>> boundary_width((300, 400))
        5.0
    """
    return share * float(np.hypot(*size))


def boundary_counts(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], n_classes: int, width: float = 2.0
) -> NDArray[np.int64]:
    """Return the counts of one image for ``boundary_f1`` and ``boundary_iou``; they add up.

    The boundary of a class consists of its pixels with a 4-neighbour of another class. Pixels that
    are IGNORE in the truth neither belong to a boundary nor create one, nor does the image border.
    IGNORE in the prediction is another class.

    Args:
        prediction: (H, W) uint8 label map, IGNORE where unknown.
        truth: (H, W) uint8 label map, IGNORE where unknown.
        n_classes: K, background included.
        width: Tolerance in pixels.

    Returns:
        (K, 6) int64, a row a class: boundary pixels of the prediction, those of them within
        ``width`` of the true boundary, boundary pixels of the truth, those of them within
        ``width`` of the predicted boundary; intersection and union of the two bands that reach
        ``width`` from the boundary into the class.
    """
    check_maps(prediction, truth)
    known = truth != IGNORE
    counts = np.zeros((n_classes, 6), np.int64)
    for label in sorted({*np.unique(prediction), *np.unique(truth)} & {*range(n_classes)}):
        counts[label] = _boundary_row((prediction == label) & known, truth == label, known, width)
    return counts


def boundary_f1(counts: NDArray[np.int64]) -> float | None:
    """Return the mean F1 score, 0..1, of the boundaries of all classes that have one, or None.

    References:
        Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013.
    """
    predicted, precise, true, recalled = counts[:, :4].T
    # 2PR / (P + R) for P = precise / predicted and R = recalled / true, without dividing by 0.
    top, bottom = 2 * precise * recalled, precise * true + recalled * predicted
    scores = np.divide(top, bottom, out=np.zeros(len(counts)), where=bottom > 0)
    return _mean(scores[predicted + true > 0])


def boundary_iou(counts: NDArray[np.int64]) -> float | None:
    """Return the mean IoU, 0..1, of the boundary bands of all classes that have one, or None.

    References:
        Cheng et al., Boundary IoU, CVPR 2021, arXiv:2103.16562.
    """
    intersection, union = counts[:, 4:].T
    present = union > 0
    return _mean(intersection[present] / union[present])


def _mean(scores: NDArray[np.floating]) -> float | None:
    return float(scores.mean()) if scores.size else None


def _boundary_row(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], known: NDArray[np.bool_], width: float
) -> tuple[int, ...]:
    edge, true_edge = _boundary(prediction, known), _boundary(truth, known)
    near, near_truth = _within(edge, width), _within(true_edge, width)
    band, true_band = prediction & near, truth & near_truth
    matches = (edge, edge & near_truth, true_edge, true_edge & near)
    overlap = (band & true_band, band | true_band)
    return tuple(int(area.sum()) for area in (*matches, *overlap))


def _boundary(mask: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    others = (known & ~mask).astype(np.uint8)
    return mask & (cv2.dilate(others, _CROSS, borderValue=0) > 0)


def _within(edge: NDArray[np.bool_], width: float) -> NDArray[np.bool_]:
    if not edge.any():
        return np.zeros(edge.shape, bool)
    outside = (~edge).astype(np.uint8)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= width)
