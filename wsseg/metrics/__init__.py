"""Metrics with truth, and quality signals without it."""
