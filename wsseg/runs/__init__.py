"""Runs: configuration, folder, stages, maps over images on this machine or a cluster, progress."""
