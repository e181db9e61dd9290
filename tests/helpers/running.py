"""Run commands in the process of the tests."""

import hashlib
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from wsseg.cli import main

ROOT = Path(__file__).parents[2]


def wsseg(*arguments):
    """Run the command line in this process and return its exit code."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["wsseg", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def hashes(run):
    """Return a hash of every label map of a run."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.glob("**/labels/*.png"))
    }


@contextmanager
def working(stage):
    """Complete a stage with the files and results that the body of the statement makes."""
    results = {}
    stage._prepare()
    yield results
    stage.run(lambda: results)
