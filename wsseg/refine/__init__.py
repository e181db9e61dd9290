"""Image, scores and constraints make sharper scores."""

from wsseg.refine.crf import CRFParams, chosen_backend, crf_params, dense_crf

__all__ = ["CRFParams", "chosen_backend", "crf_params", "dense_crf"]
