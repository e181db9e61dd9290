"""Parameters of refiners and of cleaning, and the values that publications use."""

from typing import Literal

from pydantic import Field, PositiveInt

from wsseg.params import Params


class CRFParams(Params):
    """A fully connected CRF with Potts potentials; the defaults are those of IRN.

    Two Gaussian kernels connect all pixels, each normalised symmetrically: one over positions
    (smoothness), one over positions and colours (appearance).

    References:
        Kraehenbuehl and Koltun, Efficient inference in fully connected CRFs with Gaussian edge
        potentials, NIPS 2011, arXiv:1210.5644.
    """

    backend: str = "native"
    """Implementation: "native" (numba, compiled at the first use), "torch" (on a GPU if there is
    one) or "pydensecrf" (the original code). All give the same result."""
    gaussian_sxy: float = Field(3, ge=0.1, allow_inf_nan=False)
    """Standard deviation of the smoothness kernel in pixels."""
    gaussian_compat: float = Field(3, ge=0, le=1000)
    """Weight of the smoothness kernel; 0 removes it."""
    bilateral_sxy: float = Field(50, ge=0.1, allow_inf_nan=False)
    """Standard deviation of the appearance kernel in space, in pixels."""
    bilateral_srgb: float = Field(5, ge=0.1, allow_inf_nan=False)
    """Standard deviation of the appearance kernel in colour, on the scale 0 to 255."""
    bilateral_compat: float = Field(10, ge=0, le=1000)
    """Weight of the appearance kernel; 0 removes it."""
    iterations: int = Field(10, ge=0)
    """Number of mean-field iterations; 0 only normalises the scores."""
    scale: float = Field(1.0, ge=0.01, le=1)
    """Factor of the image size for the inference; 0.5 is faster, with softer edges. Standard
    deviations stay in pixels of the original image."""


SDI = CRFParams(bilateral_sxy=80, bilateral_srgb=13, iterations=5)
"""Simple Does It, arXiv:1603.07485."""

IRN = CRFParams()
"""Inter-pixel Relation Network, arXiv:1904.05044."""

CLIP_ES = CRFParams(gaussian_sxy=1, bilateral_sxy=67, bilateral_srgb=3, bilateral_compat=4)
"""CLIP is Also an Efficient Segmenter, arXiv:2212.09506."""

BANA = CRFParams(bilateral_sxy=55, bilateral_srgb=3, bilateral_compat=4)
"""Background-Aware Pooling and Noise-Aware Loss, arXiv:2104.00905, to make labels."""

BANA_EVALUATION = CRFParams(bilateral_sxy=121, bilateral_compat=4)
"""Background-Aware Pooling and Noise-Aware Loss, arXiv:2104.00905, on predictions."""


class PARParams(Params):
    """Pixel-adaptive refinement: neighbours of similar colour exchange their scores.

    The neighbours of a pixel i are the 8 pixels j around it at each dilation; beyond the border
    the nearest pixel of the image is used. The weight of j for i is::

        colour(i, j)   = -mean over R, G, B of (|I_i - I_j| / (k s_i)) ^ e
        position(i, j) = -(|P_i - P_j| / (k s)) ^ e
        weight(i, j)   = (softmax_j colour + w softmax_j position) / (1 + w)

    with I the value of a channel, P the position in pixels, s_i the standard deviation of I over
    the neighbours of i, for each channel, and s that of |P_i - P_j|, both softmaxes over all
    neighbours. A channel with s_i = 0 is left out. The variants are

    - "par": k = 0.3, e = 2, w = 0.01 (AFA);
    - "pamr": k = 0.1, e = 1, w = 0, and s_i includes the pixel itself once per dilation, as the
      authors' program computes it; the paper writes |I_i - I_j| / s_i^2.

    References:
        Ru et al., Learning Affinity from Attention (AFA), CVPR 2022, arXiv:2203.02664.
        Araslanov and Roth, Single-Stage Semantic Segmentation from Image Labels, CVPR 2020,
        arXiv:2005.08104.
    """

    variant: Literal["par", "pamr"] = "par"
    """Form of the weights."""
    dilations: tuple[PositiveInt, ...] = Field((1, 2, 4, 8, 12, 24), min_length=1)
    """Distances of the neighbours in pixels."""
    iterations: int = Field(10, ge=0)
    """Number of exchanges; 0 only normalises the scores."""


class WalkParams(Params):
    """A random walk among the cells of a grid; radius, beta and t are those of IRN.

    A cell is the mean of ``stride`` x ``stride`` pixels. One step goes from cell i to a cell j
    closer than ``radius``, or stays at i, with the probability::

        T_ij = a_ij ^ beta / sum over k of a_ik ^ beta,   a_ii = 1

    and the walk takes 2 ^ t steps: maps m become T ^ (2 ^ t) m. The affinity a_ij is one of::

        colour:    exp(-|L_i - L_j|^2 / 50)
        boundary:  min over the cells p between them of colour_ip and colour_jp
        feature:   max(0, cosine of the angle between F_i and F_j)
        embedding: exp(-|F_i - F_j|_1), for vectors that were trained for it

    with L the CIE Lab colour and F a feature vector. The cells between i and j are those of the
    rectangle they span that are closer than 1 to the straight line from i to j, so that no step
    crosses a thin line. This is the form of IRN (1 - the strongest boundary on the way) with
    contrasts instead of a trained network. An a_ij ^ beta below the precision of float32 counts
    as 0.

    References:
        Ahn and Kwak, Learning Pixel-level Semantic Affinity with Image-level Supervision, CVPR
        2018, arXiv:1803.10464.
        Ahn, Cho and Kwak, Weakly Supervised Learning of Instance Segmentation with Inter-pixel
        Relations (IRN), CVPR 2019, arXiv:1904.05044.
    """

    radius: int = Field(5, ge=2)
    """A step reaches cells closer than this."""
    beta: float = Field(10, ge=0.001, allow_inf_nan=False)
    """Larger values follow edges more strictly."""
    t: int = Field(8, ge=0, le=20)
    """The walk takes 2 ^ t steps."""
    stride: int = Field(4, ge=1)
    """Side of a cell in pixels."""


class CleaningParams(Params):
    """Thresholds of the cleaning of predictions; see ``wsseg.cleaning``."""

    first_weight: float = Field(0.4, ge=0, le=1)
    """Weight of the first labels in their average with the prediction; 0 uses the prediction alone.
    """
    box_gap: float | None = Field(0.02, ge=0, lt=1)
    """Largest mean distance between a segment and the sides of its box, as a share of the shorter
    side; one pixel is always accepted. Segments that stay farther away grow to pixels with a
    probability of at least 0.1, as boxes are tight; null leaves them as they are.
    """
    reset_iou: float = Field(0.5, ge=0, le=1)
    """Lowest IoU of a box with its predicted segment; below it the first labels come back."""
    min_island: float = Field(0.0, ge=0, lt=1)
    """Connected regions smaller than this share of the image become IGNORE; 0 keeps all."""
