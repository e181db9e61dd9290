"""Data sets: samples, their annotations, and the classes that each pixel may take."""
