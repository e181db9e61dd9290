"""What carries stages: configuration, run directory, parallel map over images, progress."""
