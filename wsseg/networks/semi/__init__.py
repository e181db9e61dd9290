"""Semi-supervised training of the segmenter."""
