"""Several machines that train one network together: the first leads a run, the others follow it.

Every machine is given the same command on the same shared folders, and its number in the variable
``NODE_RANK``. The first does all that one machine can do. The others wait for each stage, take
their part in trainings with ``num_nodes`` above 1, and write nothing.
"""

import os
import time
from collections.abc import Callable

from wsseg.errors import InputError
from wsseg.runs.progress import say

_EVERY = 0.5  # seconds between looks at the shared folder
_NEEDED = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")


class TrainedTogetherError(Exception):
    """Ends the work of a machine that follows, after its part in a training."""


def check_nodes(num_nodes: int) -> None:
    """Refuse to train on several machines that cannot find each other, before any work is done.

    Args:
        num_nodes: How many there are.

    Raises:
        InputError: A variable is missing, or ``NODE_RANK`` is no number below ``num_nodes``.
    """
    for name in _NEEDED:
        if num_nodes > 1 and not os.environ.get(name):
            remedy = "set it as docs/scale.md shows, or num_nodes=1"
            raise InputError(name, f"set on each of {num_nodes} machines", "nothing", remedy)
    follows(num_nodes)


def follows(num_nodes: int) -> bool:
    """Return whether this machine is one of several and not the first.

    Args:
        num_nodes: How many there are.

    Returns:
        False for the first, and where there is only one.

    Raises:
        InputError: ``NODE_RANK`` is no number below ``num_nodes``.
    """
    given = os.environ.get("NODE_RANK", "0")
    if num_nodes == 1:
        return False
    if not given.isdecimal() or int(given) >= num_nodes:
        rule, remedy = f"a number from 0 to {num_nodes - 1}", "set it on every machine"
        raise InputError("NODE_RANK", rule, repr(given), remedy)
    return int(given) > 0


def wait_until(ready: Callable[[], object], what: str) -> None:
    """Wait for the first machine.

    Args:
        ready: Says whether the wait is over.
        what: Told to the person who looks on.
    """
    told = False
    while not ready():
        if not told:
            say(f"{what}: waiting for the first machine")
            told = True
        time.sleep(_EVERY)
