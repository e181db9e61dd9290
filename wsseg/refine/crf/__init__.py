"""Dense CRF: scores follow the edges of the image. One model, several backends."""

from wsseg.refine.crf.backends import BACKENDS, Backend, chosen_backend, warm_up
from wsseg.refine.crf.dense import dense_crf, dense_crf_batch
from wsseg.refine.crf.model import BANA, BANA_EVALUATION, CLIP_ES, IRN, SDI, CRFParams, Inference

__all__ = [
    "BACKENDS",
    "BANA",
    "BANA_EVALUATION",
    "CLIP_ES",
    "IRN",
    "SDI",
    "Backend",
    "CRFParams",
    "Inference",
    "chosen_backend",
    "dense_crf",
    "dense_crf_batch",
    "warm_up",
]
