"""Tiny SAM models with random weights, and decoders that return prescribed masks."""

import numpy as np
import pytest
import torch

from wsseg.foundation.sam import Embedding, Masks

SIDE = 64
"""Side of the models' square input in pixels."""


def write_tiny_sam(folder, version=1):
    """Write a SAM 1, 2 or 3 (tracker) model with random weights into a folder."""
    transformers = pytest.importorskip("transformers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, processor = {1: _sam1, 2: _sam2, 3: _sam3}[version](transformers)
        for weights in model.parameters():
            if weights.ndim > 1:  # larger than at the start of a training, so that masks differ
                torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _sam1(t):
    config = t.SamConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_pos_feats": 8,
            "image_size": SIDE,
            "patch_size": 8,
            "output_channels": 16,
            "global_attn_indexes": [1],
            "window_size": 4,
            "mlp_dim": 64,
        },
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": SIDE,
            "patch_size": 8,
            "mask_input_channels": 4,
        },
        mask_decoder_config=_decoder(),
    )
    quarter = SIDE // 4
    images = t.SamImageProcessor(
        size={"longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        mask_size={"longest_edge": quarter},
        mask_pad_size={"height": quarter, "width": quarter},
    )
    return t.SamModel(config), t.SamProcessor(images)


def _sam2(t):
    config = t.Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "image_size": [SIDE, SIDE],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 4],
                "window_positional_embedding_background_size": [4, 4],
                "global_attention_blocks": [3],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 16,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": SIDE, "mask_input_channels": 4},
        mask_decoder_config=_decoder(),
    )
    images = t.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
    return t.Sam2Model(config), t.Sam2Processor(images)


def _sam3(t):
    config = t.Sam3TrackerConfig(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": SIDE,
                "patch_size": 16,
                "pretrain_image_size": SIDE,
                "window_size": 2,
                "global_attn_indexes": [1],
            },
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 16,
        },
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": SIDE,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config=_decoder(),
    )
    images = t.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
    return t.Sam3TrackerModel(config), t.Sam3TrackerProcessor(images)


def _decoder():
    return {
        "hidden_size": 16,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "iou_head_hidden_dim": 16,
    }


class Scripted:
    """A model whose masks a test prescribes.

    Args:
        answer: Called with a ``Prompt`` and (H, W); returns three masks (H, W) bool or logits.
        iou: The IoU that it predicts for each of the three.
    """

    def __init__(self, answer, iou=(0.9, 0.8, 0.7)):
        self.answer, self.iou = answer, iou
        self.prompts = []

    def embedding(self, image):
        size, side = image.shape[:2], max(image.shape[:2])
        return Embedding((torch.ones(1, 2, side, side),), size, size, side)

    def decode(self, embedding, prompts):
        self.prompts += prompts
        size = embedding.size
        answers = [np.stack([logits_of(m) for m in self.answer(p, size)]) for p in prompts]
        iou = np.tile(np.array(self.iou, np.float32), (len(prompts), 1))
        return Masks(np.stack(answers).astype(np.float32), iou, size, size)


def logits_of(mask):
    return np.where(mask, 8.0, -8.0) if mask.dtype == bool else mask
