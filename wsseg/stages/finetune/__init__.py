"""Fine-tuning: combine a few pixel masks with weak labels."""
