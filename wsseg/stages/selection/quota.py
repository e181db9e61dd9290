"""Every class in at least so many of the chosen images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Quota:
    """How many chosen images each class is to be in.

    Args:
        shows: (N, K) bool: whether something says that image n shows class k.
        least: Images for each class; 0 asks for nothing.
    """

    shows: NDArray[np.bool_]
    least: int

    def candidates(self, is_taken: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the images that may be chosen next.

        While a class is in fewer images than it should and could be, they are the images of the
        class that misses most; of equals the one that fewer images show, then the first.

        Args:
            is_taken: (N,) which are chosen or were labelled before, not all.

        Returns:
            (N,) bool, at least one True.
        """
        shown, occurs = self.shows[is_taken].sum(axis=0), self.shows.sum(axis=0)
        missing = np.minimum(self.least, occurs) - shown
        if not (missing > 0).any():
            return ~is_taken
        shortest = np.lexsort((occurs, -missing))[0]
        found: NDArray[np.bool_] = ~is_taken & self.shows[:, shortest]
        return found

    def unmet(self, is_taken: NDArray[np.bool_], names: Sequence[str]) -> list[str]:
        """Return what the quota asked for in vain, in a person's words.

        Args:
            is_taken: (N,) which are chosen or were labelled before.
            names: Of the K classes.

        Returns:
            A line for each class that occurs and is in too few images.
        """
        shown, left = (self.shows[images].sum(axis=0) for images in (is_taken, ~is_taken))
        lines = []
        for name, count, more in zip(names, shown, left, strict=True):
            if count < self.least and count + more:
                why = "the budget ended" if more else "no other image shows it"
                lines.append(f"{name} is in {count} of {self.least} images: {why}")
        return lines


def default_quota(budget: int, shows: NDArray[np.bool_]) -> int:
    """Return how many chosen images each class is in where nobody says it.

    Half of the budget is shared out among the classes that occur, the other half is free; a small
    budget tries for one of each.

    Args:
        budget: Images to choose.
        shows: (N, K) bool: whether something says that image n shows class k.

    Returns:
        0 where no class is known to occur, else at least 1.

    Example:
        >>> default_quota(27, np.ones((100, 3), bool))
        4
    """
    occurring = int(shows.any(axis=0).sum())
    return max(1, budget // (2 * occurring)) if occurring else 0
