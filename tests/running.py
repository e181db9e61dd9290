"""Pipelines as tests run them: in this process, or in another that is killed again and again."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from wsseg.cli import main

ROOT = Path(__file__).parents[1]


def wsseg(*arguments: object) -> int:
    """Run the command line in this process and return its exit code."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["wsseg", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def hashes(run: Path) -> dict[str, str]:
    """Content of every label map of a run."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.glob("**/labels/*.png"))
    }


def run_with_kills(pipeline: str, run: Path, arguments: Sequence[object], seed: int) -> int:
    """Run a pipeline script, kill it up to three times, let it end, and return the kills."""
    script = [sys.executable, str(ROOT / "pipelines" / f"{pipeline}.py"), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    moment = random.Random(seed)
    killed = 0
    while killed < 3:
        with subprocess.Popen(script, env=environment, stderr=subprocess.DEVNULL) as process:
            _wait_for_work(run, process)
            time.sleep(moment.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
        if process.returncode == 0:
            break
        killed += 1
    subprocess.run(script, env=environment, check=True, stderr=subprocess.DEVNULL)
    return killed


def _wait_for_work(run: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the process has its hands on the run's folder."""
    known = set(run.glob("**/*"))
    while process.poll() is None and set(run.glob("**/*")) <= known:
        time.sleep(0.05)
