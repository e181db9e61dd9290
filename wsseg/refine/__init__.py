"""Image, scores and constraints make sharper scores."""
