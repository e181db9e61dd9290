"""Which images should be labelled pixel by pixel, when only some can be."""
