"""The stages of every recipe."""
