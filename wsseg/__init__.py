"""wsseg: pixel label maps and a trained segmenter from cheap annotations."""

__version__ = "0.2.0"
