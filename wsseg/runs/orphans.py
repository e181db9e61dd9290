"""Worker processes that end with the process they work for."""

import os
import signal
import threading
import time
from functools import cache

_EVERY = 0.05  # seconds


@cache
def end_with(owner: int) -> None:
    """End this worker process soon after its owner has ended, in whatever way that came.

    A run that is killed has no time to stop its workers. Left alone they would still do the images
    that were handed to them, and write label maps into the folder of the run's next attempt.

    Ctrl-C, which a terminal sends to all of them, is for the owner to answer.

    Args:
        owner: The process that started this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(owner,), daemon=True).start()


def _watch(owner: int) -> None:
    while os.getppid() == owner:
        time.sleep(_EVERY)
    os._exit(1)
