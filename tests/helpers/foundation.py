"""Tiny foundation models with random weights, in folders as ``save_pretrained`` writes them."""

import json
import string

import torch


def tiny_clip(folder, *, seed=0, layers=3):
    """Write a CLIP model with patches of 32 pixels, and return the folder."""
    from transformers import CLIPConfig, CLIPModel  # noqa: PLC0415 - an extra, slow to import

    vocabulary = _vocabulary()
    text = {
        **{"vocab_size": len(vocabulary), "hidden_size": 16, "intermediate_size": 32},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 77},
        **{"bos_token_id": vocabulary["<|startoftext|>"]},
        **{"eos_token_id": vocabulary["<|endoftext|>"], "pad_token_id": 0},
    }
    vision = {
        **{"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": layers},
        **{"num_attention_heads": 3, "image_size": 128, "patch_size": 32},
    }
    # The published initialisation is so small that all images and texts have one feature.
    config = CLIPConfig(
        text_config={**text, "initializer_factor": 20.0},
        vision_config={**vision, "initializer_factor": 20.0},
        projection_dim=16,
        initializer_factor=20.0,
    )
    _save(CLIPModel, config, folder, seed)
    _write_tokenizer(folder, vocabulary, "CLIPProcessor")
    _write_preparation(folder, "CLIPImageProcessor", 128)
    return folder


def tiny_dino(folder, *, kind="dinov2", seed=0):
    """Write a model of one of four kinds with patches of 28 or 32 pixels, and return the folder."""
    import transformers  # noqa: PLC0415 - an extra, slow to import

    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    makes = {
        "dinov2": ("Dinov2", {**size, "image_size": 112, "patch_size": 28}),
        "dinov2_with_registers": (
            "Dinov2WithRegisters",
            {**size, "image_size": 112, "patch_size": 28, "num_register_tokens": 3},
        ),
        "dinov3_vit": (
            "DINOv3ViT",
            {**size, "patch_size": 32, "intermediate_size": 32, "num_register_tokens": 2},
        ),
        "dinov3_convnext": (
            "DINOv3ConvNext",
            {"hidden_sizes": [4, 8, 12, 16], "depths": [1, 1, 1, 1]},
        ),
    }
    name, values = makes[kind]
    config = getattr(transformers, f"{name}Config")(**values)
    _save(getattr(transformers, f"{name}Model"), config, folder, seed)
    _write_preparation(folder, "BitImageProcessor", 112)
    return folder


def tiny_sam3(folder, *, seed=0):
    """Write a SAM 3 that reads text, for images of 56 x 56 pixels, and return the folder."""
    from transformers import Sam3Config, Sam3Model  # noqa: PLC0415 - an extra, slow to import

    vocabulary = _vocabulary()
    vision = {
        "backbone_config": {
            **{"model_type": "sam3_vit_model", "hidden_size": 16, "intermediate_size": 32},
            **{"num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56},
            **{"patch_size": 14, "window_size": 2, "global_attn_indexes": [1]},
            **{"pretrain_image_size": 56},
        },
        "fpn_hidden_size": 16,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "scale_factors": [4.0, 2.0, 1.0, 0.5],
    }
    text = {
        **{"vocab_size": len(vocabulary), "hidden_size": 16, "intermediate_size": 32},
        **{"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32},
        **{"projection_dim": 16, "eos_token_id": vocabulary["<|endoftext|>"]},
        **{"bos_token_id": vocabulary["<|startoftext|>"], "pad_token_id": 0},
    }
    part = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    config = Sam3Config(
        vision_config=vision,
        text_config=text,
        geometry_encoder_config={**part, "num_layers": 1},
        detr_encoder_config={**part, "num_layers": 1},
        detr_decoder_config={**part, "num_layers": 1, "num_queries": 5},
        mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
    )
    _save(Sam3Model, config, folder, seed)
    _write_tokenizer(folder, vocabulary, "Sam3Processor")
    _write_preparation(folder, "Sam3ImageProcessor", 56)
    return folder


def _save(model, config, folder, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model(config).save_pretrained(folder)


def _vocabulary():
    """Return the tokens of letters in and at the end of words, which need no merges."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = ["<pad>", *letters, *(f"{letter}</w>" for letter in letters)]
    return {word: n for n, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}


def _write_tokenizer(folder, vocabulary, processor):
    from transformers import CLIPTokenizer  # noqa: PLC0415 - an extra, slow to import

    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": processor}))


def _write_preparation(folder, kind, side):
    values = {
        **{"image_processor_type": kind, "do_resize": True, "do_normalize": True},
        **{"size": {"height": side, "width": side}, "do_rescale": True},
        **{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3]},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
