"""Recognise names of images that belong together, such as the frames of a video."""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Parts of ids that images of one source share: copies that Roboflow augments, frames, tiles.
COPIES, FRAMES, TILES = r"^(.*)\.rf\.[^.]+$", r"^(.*\D)\d+$", r"^(.*\D)\d+[_-]\d+$"


def group_pattern(ids: Sequence[str], shows: NDArray[np.bool_]) -> str | None:
    r"""Return a pattern of ``data.group`` for ids that name copies, video frames or tiles.

    Args:
        shows: (N, C) whether each image shows each class; a pattern by which all images of a class
            fall in one group is not returned.

    Example:
        >>> ids = [f"clip{clip}_{frame:04}" for clip in range(3) for frame in range(0, 50, 10)]
        >>> group_pattern(ids, np.ones((15, 1), bool))
        '^(.*\\D)\\d+$'
        >>> group_pattern(["2007_000027", "2007_000032", "2008_000211"], np.ones((3, 1), bool))
    """
    for pattern, is_source in ((COPIES, _is_any), (TILES, _is_grid), (FRAMES, _is_sequence)):
        groups: dict[str, list[str]] = defaultdict(list)
        for id in ids:
            if match := re.search(pattern, id):
                groups[match[1]].append(id[match.end(1) :])
        n_matched = sum(map(len, groups.values()))
        several = [rests for rests in groups.values() if len(rests) > 1 and is_source(rests)]
        if n_matched < 0.9 * len(ids) or sum(map(len, several)) < 0.5 * len(ids):
            continue
        matches = [re.search(pattern, id) for id in ids]
        group_of = np.array([m[1] if m else id for m, id in zip(matches, ids, strict=True)])
        everywhere = np.column_stack([np.ones(len(ids), bool), shows])
        if all(len({*group_of[shown]}) > 1 for shown in everywhere.T if shown.sum() > 1):
            return pattern
    return None


def _is_any(_: Sequence[str]) -> bool:
    return True


def _is_sequence(rests: Sequence[str]) -> bool:
    """Return whether the numbers of a group follow each other in equal steps, with few gaps."""
    numbers = np.sort([int(rest) for rest in rests])
    step = int(np.gcd.reduce(np.diff(numbers))) or 1
    return len(numbers) > 2 and (numbers[-1] - numbers[0]) // step < 1.5 * len(numbers)


def _is_grid(rests: Sequence[str]) -> bool:
    """Return whether the two numbers of a group are rows and columns."""
    rows, columns = zip(*(re.split("[_-]", rest) for rest in rests), strict=True)
    n_rows, n_columns = len({*rows}), len({*columns})
    return min(n_rows, n_columns) > 1 and n_rows * n_columns <= 1.5 * len(rests)
