"""Losses by name, each of what a training step has seen."""
