"""Image tags to first labels, in stages: a classifier, its activation maps, confident labels."""
