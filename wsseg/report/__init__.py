"""Reports on the quality of labels and segmenters."""
