"""The last stage: a few pixel labels, and what they are worth beside weak ones."""
