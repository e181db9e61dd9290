"""Kernels compiled by numba, and rows of a few float32 handled as one SIMD value.

LLVM cannot prove that rows of two arrays never overlap, so from a plain loop over their floats it
would make one instruction a float. Rows are those of (N, L) arrays in C order; ``lanes`` is a
tuple of L, whose length is compiled in.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_REORDERED = ("contract", "nsz", "arcp", "reassoc")  # sums may be reordered; NaN keeps its meaning

_FILES = sorted(Path(__file__).parent.glob("*.py"))
_SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()[:12]
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": set(_REORDERED)}


def kernel(function: Callable[..., Any]) -> Any:
    """Return a function that numba compiles at its first call, for all later processes too.

    Args:
        function: Of numbers, arrays and tuples.

    Returns:
        The same, compiled; it holds no lock, so that threads may call it together.
    """
    # numba knows a kernel by name and watches its own file only; what it calls lies in others too
    function.__qualname__ += f"_{_SOURCES}"
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # what numba says where it finds no place to write to
        advice = "numba's cache cannot be written; every process compiles anew, unless you set"
        warnings.warn(f"{advice} NUMBA_CACHE_DIR to a folder", RuntimeWarning, stacklevel=1)
        return njit(**_OPTIONS)(function)


@intrinsic
def add_scaled(_: Any, target: Any, row: Any, weight: Any, source: Any, at: Any, lanes: Any) -> Any:
    """``target[row] += weight * source[at]``."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target, row, weight, source, at, _ = values
        to = _Rows(context, builder, signature.args[0], target, len(lanes))
        there = _Rows(context, builder, signature.args[3], source, len(lanes)).load(at)
        scaled = builder.fmul(there, to.spread(weight), flags=_REORDERED)
        to.store(row, builder.fadd(to.load(row), scaled, flags=_REORDERED))
        return context.get_dummy_value()

    return types.void(target, types.uintp, types.float32, source, types.uintp, lanes), code


@intrinsic
def blur_row(_: Any, target: Any, source: Any, row: Any, one: Any, other: Any, lanes: Any) -> Any:
    """``target[row] = source[row] + (source[one] + source[other]) / 2``."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target, source, row, one, other, _ = values
        to = _Rows(context, builder, signature.args[0], target, len(lanes))
        rows = _Rows(context, builder, signature.args[1], source, len(lanes))
        both = builder.fadd(rows.load(one), rows.load(other), flags=_REORDERED)
        halves = builder.fmul(both, rows.spread(ir.Constant(ir.FloatType(), 0.5)), flags=_REORDERED)
        to.store(row, builder.fadd(rows.load(row), halves, flags=_REORDERED))
        return context.get_dummy_value()

    rows = (types.uintp, types.uintp, types.uintp)
    return types.void(target, source, *rows, lanes), code


@intrinsic
def rescale(_: Any, target: Any, row: Any, factor: Any, offset: Any, lanes: Any) -> Any:
    """``target[row] = factor * target[row] + offset``."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target, row, factor, offset, _ = values
        rows = _Rows(context, builder, signature.args[0], target, len(lanes))
        scaled = builder.fmul(rows.load(row), rows.spread(factor), flags=_REORDERED)
        rows.store(row, builder.fadd(scaled, rows.spread(offset), flags=_REORDERED))
        return context.get_dummy_value()

    return types.void(target, types.uintp, types.float32, types.float32, lanes), code


@intrinsic
def row_sum(_: Any, rows: Any, row: Any, lanes: Any) -> Any:
    """The sum of ``rows[row]``."""
    return _reduction("fadd", [ir.Constant(ir.FloatType(), 0)], rows, lanes)


@intrinsic
def row_max(_: Any, rows: Any, row: Any, lanes: Any) -> Any:
    """The largest value of ``rows[row]``; no NaN."""
    return _reduction("fmax", [], rows, lanes)


def _reduction(name: str, start: list[Any], rows: Any, lanes: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = _Rows(context, builder, signature.args[0], values[0], len(lanes)).load(values[1])
        full_name = f"llvm.vector.reduce.{name}.v{len(lanes)}f32"
        kind = ir.FunctionType(ir.FloatType(), [*(each.type for each in start), vector.type])
        function = cgutils.get_or_insert_function(builder.module, kind, full_name)
        return builder.call(function, [*start, vector], fastmath=(*_REORDERED, "nnan"))

    return types.float32(rows, types.uintp, lanes), code


class _Rows:
    """The rows of an array while code is generated."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.data = context.make_array(kind)(context, builder, array).data

    def load(self, row: Any) -> Any:
        value = self.builder.load(self._pointer(row))
        value.align = 4
        return value

    def store(self, row: Any, value: Any) -> None:
        self.builder.store(value, self._pointer(row)).align = 4

    def spread(self, scalar: Any) -> Any:
        """The same value in every lane."""
        vector = ir.Constant(ir.VectorType(ir.FloatType(), self.lanes), ir.Undefined)
        first = self.builder.insert_element(vector, scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, first, zeros)

    def _pointer(self, row: Any) -> Any:
        offset = self.builder.mul(row, ir.Constant(row.type, self.lanes))
        vector = ir.VectorType(ir.FloatType(), self.lanes)
        return self.builder.bitcast(self.builder.gep(self.data, [offset]), vector.as_pointer())
