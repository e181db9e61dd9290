"""Run commands in processes with limited time and memory.

As a script, this module imports the package once and runs each command that it receives in a fork,
which saves the seconds of the import.
"""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wsseg.cli import main

ROOM = 16 * 2**30  # bytes of address space, of which the libraries take some
MEMORY = 2 * 2**30  # bytes of resident memory; the libraries take a third
SECONDS = 60  # of CPU at most; the slowest command takes a few
WAIT = 600  # seconds at most, so that a command that waits for a pipe ends


@dataclass(frozen=True)
class Done:
    """The result of a command.

    Args:
        code: The exit code; negative for a signal, such as that of the time limit.
        memory: Maximum of resident memory in bytes.
    """

    code: int
    memory: int
    out: str
    err: str

    @property
    def said(self):
        """Both outputs."""
        return self.out + self.err


class Commands:
    """Runs commands, one at a time."""

    def __init__(self, process, folder):
        self.process, self.folder = process, folder

    def __call__(self, *arguments):
        """Run one command and return the result."""
        out, err = self.folder / "out", self.folder / "err"
        order = {"arguments": [*map(str, arguments)], "out": str(out), "err": str(err)}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        code, memory = json.loads(self.process.stdout.readline())
        texts = (file.read_bytes().decode("utf-8", "backslashreplace") for file in (out, err))
        return Done(code, memory, *texts)


@contextmanager
def commands(folder):
    """Yield a runner of commands whose outputs are written to a folder."""
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        **{"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"},
        "COLUMNS": "400",
    }
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        yield Commands(process, folder)
        assert process.stdin
        process.stdin.close()


def files(folder):
    """Return mode, size and time of everything in a folder, without following links."""
    found = {str(path): path.lstat() for path in folder.rglob("*")}
    return {name: (stat.st_mode, stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


def _serve():
    for line in sys.stdin:
        order = json.loads(line)
        if (child := os.fork()) == 0:
            _work(order)
        _, status, used = os.wait4(child, 0)
        found = os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024
        print(json.dumps(found), flush=True)


def _work(order):
    """Run one command in this process, and exit."""
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.alarm(WAIT)
    sys.argv, code = ["wsseg", *order["arguments"]], 0
    try:
        main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for module in ("wsseg.data.check", "wsseg.stages.rounds", "wsseg.report.run_report"):
        importlib.import_module(module)
    _serve()
