"""Train a small promptable segmentation model of transformers on generated scenes."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.tiny_sam_prompts import (
    KINDS,
    LOW,
    OBJECTS,
    SIDE,
    batch_of,
    corrections,
    first_prompts,
)
from benchmarks.tiny_sam_scenes import Rng, generate_scene

PATCH = 16
HIDDEN = 128
DEPTH = 5
IMAGES = 4  # of a step
CORRECTED = 0.3  # share of the steps with second prompts, which correct the results of the first
PEAK_RATES = 3e-3, 1e-3  # of Muon and AdamW
WARM_UP = 150  # steps
SAVE_EVERY = 60  # seconds
REPORT_EVERY = 100  # steps
HELD_OUT = 48  # scenes, from another stream of random numbers than those of the training

_FIRST = (0.55, 0.15, 0.2, 0.07, 0.03)  # probability of each kind of first prompts


def train(out: Path, steps: int, seed: int = 0) -> None:
    """Train, or continue the training in ``out``, and save model and processor there.

    A checkpoint each minute lets a stopped training continue; it is removed at the end.
    """
    torch.manual_seed(seed)
    model, checkpoint = new_model(), out / "training.ckpt"
    optimizers = _optimizers(model)
    start, spent = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        start, spent = saved["step"], saved["seconds"]
    else:
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    began, saved_at, losses = time.process_time() - spent, time.monotonic(), []
    for step in range(start, steps):
        for optimizer, peak in zip(optimizers, PEAK_RATES, strict=True):
            optimizer.param_groups[0]["lr"] = peak * _schedule(step, steps)
        losses.append(_step(model, optimizers, np.random.default_rng((seed, step))))
        if (step + 1) % REPORT_EVERY == 0:
            spent, loss = time.process_time() - began, np.mean(losses[-REPORT_EVERY:])
            line = f"{step + 1:6} {spent:6.0f} s  loss {loss:.3f}  {_figures(model, 'box')}"
            print(line, flush=True)
        if time.monotonic() - saved_at > SAVE_EVERY or step + 1 == steps:
            saved_at, spent = time.monotonic(), time.process_time() - began
            state = {"model": model.state_dict(), "step": step + 1, "seconds": spent}
            _save(out, model, {**state, "optimizers": [o.state_dict() for o in optimizers]})
    checkpoint.unlink(missing_ok=True)
    for kind in KINDS:
        print(f"{kind:14} {_figures(model, kind)}")


def _optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Return AdamW, but for the matrices of the transformers Muon, which learns faster."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, weights in model.named_parameters():
        if weights.requires_grad:
            inner = weights.ndim == 2 and any(part in name for part in ("layers", "attn", "mlps"))
            (matrices if inner else others).append(weights)
    muon = torch.optim.Muon(matrices, weight_decay=0.02, adjust_lr_fn="match_rms_adamw", ns_steps=4)
    return [muon, torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.02)]


def _save(out: Path, model: Any, state: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    new_processor().save_pretrained(out)
    partial = out / "training.part"
    torch.save(state, partial)
    partial.replace(out / "training.ckpt")


def new_model() -> Any:
    """Return an untrained ``SamModel`` of 1.9 million parameters."""
    from transformers import SamConfig, SamModel  # noqa: PLC0415 - an extra, slow to import

    shape = {"image_size": SIDE, "patch_size": PATCH}
    vision = {
        **shape,
        "hidden_size": HIDDEN,
        "output_channels": HIDDEN,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": 4,
        "num_pos_feats": HIDDEN // 2,
        "global_attn_indexes": list(range(DEPTH)),
        "use_rel_pos": False,
        "initializer_range": 0.08,
    }
    decoder = {
        "hidden_size": HIDDEN,
        "mlp_dim": 2 * HIDDEN,
        "num_attention_heads": 4,
        "iou_head_hidden_dim": HIDDEN,
    }
    config = SamConfig(
        vision_config=vision,
        prompt_encoder_config={**shape, "hidden_size": HIDDEN},
        mask_decoder_config=decoder,
        initializer_range=0.08,
    )
    model = SamModel(config)
    # Tokens start as different from each other as in SAM, else all masks start alike.
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            torch.nn.init.normal_(module.weight)
    # The library draws the frequencies of positions with a standard deviation of half the width,
    # for weights that replace them; so high ones would hide that two positions are close.
    torch.nn.init.normal_(model.shared_image_embedding.positional_embedding, std=1.0)
    model.shared_image_embedding.positional_embedding.requires_grad_(False)
    # Patches start no larger than their positions, so that attention can look at neighbours.
    torch.nn.init.normal_(model.vision_encoder.patch_embed.projection.weight, std=0.03)
    _start_with_positions(model.vision_encoder.pos_embed)
    return model


def _start_with_positions(embedding: Tensor) -> None:
    """Set (1, h, w, C) embeddings of patches to sines and cosines of the two coordinates."""
    quarter = embedding.shape[3] // 4
    angles = torch.arange(embedding.shape[1])[:, None] * 0.5 ** torch.linspace(0, 5, quarter)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows = waves[:, None].expand(-1, embedding.shape[2], -1)
    columns = waves[None].expand(embedding.shape[1], -1, -1)
    with torch.no_grad():
        embedding.copy_(torch.cat([rows, columns], dim=2)[None])


def new_processor() -> Any:
    """Return the ``SamProcessor`` that fits ``new_model``."""
    from transformers import SamImageProcessor, SamProcessor  # noqa: PLC0415 - as above

    sizes = {
        "size": {"longest_edge": SIDE},
        "pad_size": {"height": SIDE, "width": SIDE},
        "mask_size": {"longest_edge": LOW},
        "mask_pad_size": {"height": LOW, "width": LOW},
    }
    return SamProcessor(SamImageProcessor(**sizes))


def _step(model: Any, optimizers: list[torch.optim.Optimizer], rng: Rng) -> float:
    """Learn from first prompts and from corrections of their results; return the loss."""
    model.train()
    batch = batch_of([generate_scene(rng) for _ in range(IMAGES)], rng)
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = model.vision_encoder(batch.pixels)[0]
    prompts = first_prompts(batch, KINDS[rng.choice(len(KINDS), p=_FIRST)], rng)
    logits, scores = decode(model, embeddings, prompts)
    loss, best = loss_of(logits, scores, batch.masks)
    total = loss
    if rng.random() < CORRECTED:
        prompts = corrections(batch, logits.detach()[torch.arange(len(best)), best], rng)
        logits, scores = decode(model, embeddings, prompts, multimask=rng.random() < 0.7)
        total = loss + loss_of(logits, scores, batch.masks)[0]
    model.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]  # torch does not say its types
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.detach())


def decode(
    model: Any, embeddings: Tensor, prompts: dict[str, Tensor], multimask: bool = True
) -> tuple[Tensor, Tensor]:
    """Return logits (N, masks, LOW, LOW) and scores (N, masks) of one prompt for each object."""
    repeated = embeddings.repeat_interleave(OBJECTS, dim=0)
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel([SDPBackend.MATH]):
        result = model(image_embeddings=repeated, multimask_output=multimask, **prompts)
    return result.pred_masks[:, 0].float(), result.iou_scores[:, 0].float()


def loss_of(logits: Tensor, scores: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of SAM, and which mask of each object has the smallest one."""
    target = masks[:, None].expand_as(logits)
    share = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    focal = ((share - target) ** 2 * entropy).mean(dim=(2, 3))
    overlap = (share * target).sum(dim=(2, 3))
    dice = 1 - (2 * overlap + 1) / ((share + target).sum(dim=(2, 3)) + 1)
    losses = 20 * focal + dice
    smallest, best = losses.min(dim=1)
    with torch.no_grad():
        ious = iou(logits > 0, target > 0.5)
    # A small share of the mean keeps the masks alive that are never the best.
    return (smallest + 0.05 * losses.mean(dim=1) + ((scores - ious) ** 2).mean(dim=1)).mean(), best


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap of (..., h, w) bool masks; 0 where both are empty."""
    union = (first | second).sum(dim=(-2, -1))
    return (first & second).sum(dim=(-2, -1)) / union.clamp(min=1)


def _schedule(step: int, steps: int) -> float:
    """Return the share of the peak learning rate: a warm-up, then half a cosine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.02 + 0.49 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


def _figures(model: Any, kind: str) -> str:
    best, chosen, rank = held_out_quality(model, kind)
    return f"held out: IoU {chosen:.3f}, best of three {best:.3f}, Spearman {rank:+.2f}"


def held_out_quality(model: Any, kind: str) -> tuple[float, float, float]:
    """Return figures of held-out scenes for one kind of prompts.

    Returns:
        Mean IoU of the best mask, and of that with the best score; Spearman's correlation of this
        score with the true IoU.
    """
    best, chosen, scored = [], [], []
    model.eval()
    for index in range(0, HELD_OUT, 8):
        rng = np.random.default_rng((2**32, index))
        batch = batch_of([generate_scene(rng) for _ in range(8)], rng)
        with torch.no_grad():
            embeddings = model.vision_encoder(batch.pixels)[0]
            logits, scores = decode(model, embeddings, first_prompts(batch, kind, rng))
        ious = iou(logits > 0, batch.masks[:, None] > 0.5)
        best.append(ious.amax(dim=1))
        chosen.append(ious.gather(1, scores.argmax(dim=1, keepdim=True))[:, 0])
        scored.append(scores.amax(dim=1))
    ious, scores = torch.cat(chosen), torch.cat(scored)
    varied = ious.std() > 0 and scores.std() > 0
    rank = spearmanr(scores.numpy(), ious.numpy()).statistic if varied else math.nan
    return float(torch.cat(best).mean()), float(ious.mean()), float(rank)
