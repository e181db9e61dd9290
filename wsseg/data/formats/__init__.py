"""Data sets on disk: one module for each format, all giving the same intermediate model."""
