"""Losses by name, each of what a training step has seen."""

from wsseg.segmenter.losses.named import LOSSES, Seen, check_losses

__all__ = ["LOSSES", "Seen", "check_losses"]
