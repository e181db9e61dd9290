"""First label maps from annotations, by name."""
