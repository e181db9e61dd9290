"""Learning from the future: the student goes ahead on trial, and the teacher follows."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def look_ahead(
    student: nn.Module,
    optimizer: Optimizer,
    loss: Callable[[], Tensor],
    follow: Callable[[], None],
    *,
    steps: int,
    clip: float,
) -> None:
    """Let the teacher follow a student that goes some steps ahead, and put the student back.

    Each trial step is: the teacher follows, the student takes a step; at the end the teacher
    follows once more. Weights, statistics and the optimizer's state of the student are then what
    they were; the teacher stays where it is.

    Args:
        student: All that the optimizer trains.
        optimizer: Of the student.
        loss: Computes the student's loss by the teacher as it is then.
        follow: Moves the teacher towards the student.
        steps: Number of trial steps.
        clip: Largest gradient norm.

    References:
        Du et al., Learning from Future, arXiv:2209.06993.
    """
    before = {name: value.clone() for name, value in student.state_dict().items()}
    state = copy.deepcopy(optimizer.state_dict())
    for _ in range(steps):
        follow()
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]  # torch does not say its types
        torch.nn.utils.clip_grad_norm_(student.parameters(), clip)
        optimizer.step()
    follow()
    optimizer.zero_grad()
    student.load_state_dict(before)
    optimizer.load_state_dict(state)
