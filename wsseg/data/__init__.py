"""What people drew: samples, their annotations, and what these say of each pixel."""
