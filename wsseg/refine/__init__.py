"""Image, scores and constraints make sharper scores."""

from wsseg.refine.affinity import WalkParams, random_walk, walked
from wsseg.refine.crf import CRFParams, dense_crf, dense_crf_batch
from wsseg.refine.named import Refine, Refiner, find_refiner
from wsseg.refine.par import PARParams, par, par_batch

__all__ = [
    "CRFParams",
    "PARParams",
    "Refine",
    "Refiner",
    "WalkParams",
    "dense_crf",
    "dense_crf_batch",
    "find_refiner",
    "par",
    "par_batch",
    "random_walk",
    "walked",
]
