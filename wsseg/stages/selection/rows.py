"""Vectors of many images in one file, written and read a few at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from wsseg.files import atomic_write, naming

_LENGTH = 1e-3  # how far from 1 the length of a whole row may be: half-written ones differ more


@dataclass(frozen=True)
class Rows:
    """Unit vectors in an ``.npy`` file (N, D) of float32; rows not yet written are 0.

    Memory holds only the rows that are asked for, and none between calls.

    Args:
        path: The file.
    """

    path: Path

    def shape(self) -> tuple[int, int] | None:
        """Return (N, D), None where there is no such file."""
        try:
            held = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        is_ours = held.ndim == 2 and held.dtype == np.float32 and held.flags.c_contiguous
        return (held.shape[0], held.shape[1]) if is_ours else None

    def create(self, count: int, width: int) -> None:
        """Make the file, all rows 0; one of this shape is kept.

        Args:
            count: N.
            width: D.
        """
        if self.shape() == (count, width):
            return
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
        with atomic_write(self.path) as file:
            npy.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 4 * count * width)

    def write(self, number: int, vector: NDArray[np.float32]) -> None:
        """Write one row in its place.

        A row that a kill cuts short is not of length 1, so that ``written`` leaves it out.

        Args:
            number: From 0.
            vector: (D,) of length 1.
        """
        with naming(self.path), self.path.open("r+b") as file:
            npy.read_magic(file)
            (_, width), _, _ = npy.read_array_header_1_0(file)
            file.seek(4 * width * number, 1)
            file.write(np.ascontiguousarray(vector, "<f4").tobytes())

    def read(self, numbers: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float32]:
        """Return some rows.

        Args:
            numbers: n of them.

        Returns:
            (n, D) float32.
        """
        held = np.load(self.path, mmap_mode="r", allow_pickle=False)
        found: NDArray[np.float32] = np.array(held[np.asarray(numbers, np.intp)])
        return found

    def written(self, chunk: int = 1024) -> NDArray[np.bool_]:
        """Return which rows are whole.

        Args:
            chunk: Rows in memory at once.

        Returns:
            (N,) bool; empty where there is no file.
        """
        count, _ = self.shape() or (0, 0)
        whole = np.zeros(count, bool)
        for first in range(0, count, chunk):
            numbers = np.arange(first, min(first + chunk, count))
            lengths = np.linalg.norm(self.read(numbers), axis=1)
            whole[numbers] = np.abs(lengths - 1) < _LENGTH
        return whole
