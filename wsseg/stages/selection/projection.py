"""Embeddings in two dimensions, to be looked at."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import IncrementalPCA

from wsseg.stages.selection.embeddings import Embeddings

_CHUNK = 256  # images at a time: the time of a step grows with their square


def project(embeddings: Embeddings) -> tuple[NDArray[np.float32], float]:
    """Return the two principal components of embeddings, found a few images at a time.

    Args:
        embeddings: Of N images.

    Returns:
        (N, 2) float32, and the share of the variance that they explain, 0..1. One image alone
        lies at 0.
    """
    count = len(embeddings)
    points = np.zeros((count, 2), np.float32)
    if count < 2:
        return points, 1.0
    pca = IncrementalPCA(n_components=2)
    with np.errstate(invalid="ignore"):  # images that are all the same have no variance
        for _, chunk in embeddings.chunks(_CHUNK, smallest=2):
            pca.partial_fit(chunk)
    for place, chunk in embeddings.chunks(_CHUNK):
        points[place] = pca.transform(chunk)
    explained = float(np.nan_to_num(pca.explained_variance_ratio_).sum())
    return points, explained
