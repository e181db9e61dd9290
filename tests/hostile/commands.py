"""The command line in processes that may neither wait for ever nor fill the memory.

Run as a script, this module loads the package once and then does each command that it is told in a
process of its own, a fork: as ``wsseg`` would, without the seconds that loading takes each time.
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

ROOM = 16 * 2**30  # bytes of addresses, of which the libraries themselves take some
MEMORY = 2 * 2**30  # bytes in use at most; the libraries take a third of it
SECONDS = 60  # of CPU at most; the slowest command takes a few
WAIT = 600  # seconds at most, so that a command that waits for a pipe ends


@dataclass(frozen=True)
class Done:
    """What came of a command.

    Args:
        code: Its exit code; negative for a signal, such as that of the time limit.
        memory: Bytes that it had in use at most.
        out: What it printed.
        err: What it printed as errors.
    """

    code: int
    memory: int
    out: str
    err: str

    @property
    def said(self):
        """All that it printed."""
        return self.out + self.err


class Commands:
    """Does commands, one at a time."""

    def __init__(self, process, folder):
        self.process, self.folder = process, folder

    def __call__(self, *arguments):
        """Do one command and return what came of it."""
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
    """Yield what does commands; what they print is kept in a folder."""
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
    """What lies below a folder, links not followed."""
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
    """Be a process that was started for one command."""
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
