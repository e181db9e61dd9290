"""Checks of the machine and of a configuration before a run."""
