"""Selection of the images that are most worth labelling pixel by pixel."""
