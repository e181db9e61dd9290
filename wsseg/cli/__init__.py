"""The command line."""

from wsseg.cli import annotations, runs, setup
from wsseg.cli.app import app
from wsseg.cli.pipelines import run_script

__all__ = ["annotations", "main", "run_script", "runs", "setup"]


def main() -> None:
    """Run the command line; what stops it is one line on stderr, bad input exit code 2."""
    app()
