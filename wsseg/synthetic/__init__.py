"""Simulated annotators and generated scenes."""
