"""Label Studio's brush masks, encoded as its exports are."""

from itertools import pairwise

import numpy as np

LENGTHS = (3, 4, 8, 16)


def number(value, count):
    return format(value, f"0{count}b")


def packed(values, runs, lengths=LENGTHS, bits=8, count=None):
    """Write values bit by bit; of each run its count, and whether it is written as one value."""
    text = number(len(values) if count is None else count, 32) + number(bits - 1, 5)
    text += "".join(number(length - 1, 4) for length in lengths)
    first = 0
    for length, as_one in runs:
        choice = next(i for i, most in enumerate(lengths) if length <= 2**most)
        text += ("1" if as_one else "0") + number(choice, 2) + number(length - 1, lengths[choice])
        kept = values[first : first + 1] if as_one else values[first : first + length]
        text += "".join(number(int(value), bits) for value in kept)
        first += length
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def plain_runs(values):
    """Equal neighbours as one value."""
    starts = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1]), len(values)]
    return [(stop - start, True) for start, stop in pairwise(starts)]


def rgba(mask, colour=(255, 255, 255, 255)):
    return (mask[..., None] * np.array(colour)).ravel()
