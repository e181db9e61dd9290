"""Networks: segmenter, classifier and affinity network, their losses and their training."""
