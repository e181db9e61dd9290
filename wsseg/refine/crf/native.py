"""Dense CRF compiled by numba at its first use."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.refine.crf.backends import NEVER
from wsseg.refine.crf.kernels import kernel
from wsseg.refine.crf.permutohedral import Buffers, Lattice, build_lattice
from wsseg.refine.crf.simplex import BLOCK
from wsseg.refine.params import CRFParams

if numba.config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set")

_LANES = (1, 2, 4)  # classes filtered together; more do not fit the processor's cache
_LOG2_E, _LN_2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)


def warm_up() -> None:
    """Compile every kernel that ``infer`` may need, or load it from numba's cache.

    Raises:
        InputError: The cache is damaged or cannot be written.
    """
    try:
        _compile_all()
    except (OSError, EOFError, UnpicklingError) as error:
        remedy = "remove that folder, or set NUMBA_CACHE_DIR to another"
        raise InputError(
            f"numba's cache {cache_folder()}", "readable and writable", error, remedy
        ) from error


def cache_folder() -> Path | None:
    """Return the folder of numba's cache, None if numba found no place to write to."""
    folder = _normalise.stats.cache_path
    return Path(folder) if folder else None


def _compile_all() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    for lanes in _LANES:
        mean_field(image, np.zeros((lanes + 1, 4, 4), np.float32), CRFParams(iterations=1))
    build_lattice(np.full((5, 2), (-100, 100), np.float32))  # keys of 64 bits


def infer(
    images: Sequence[NDArray[np.uint8]],
    energies: Sequence[NDArray[np.float32]],
    params: CRFParams,
) -> list[NDArray[np.float32]]:
    """Return the mean field of a dense CRF for each image; see ``Inference``."""
    return [mean_field(*arrays, params) for arrays in zip(images, energies, strict=True)]


def mean_field(
    image: NDArray[np.uint8], energies: NDArray[np.float32], params: CRFParams
) -> NDArray[np.float32]:
    """Return the mean field of one image.

    Only C - 1 classes are filtered: the probabilities of a pixel sum to 1, so the filtered last
    class is the filtered ones minus the other filtered classes.
    """
    rows = energies.reshape(len(energies), -1)
    unary, last_unary = _grouped(rows[:-1]), rows[-1]
    # A tuple, so that numba compiles its length in and unrolls the loops over a group's classes.
    field, lanes = np.zeros_like(unary), (0,) * unary.shape[2]
    last, of_ones = np.zeros((2, rows.shape[1]), np.float32)
    _normalise(field, last, unary, last_unary, lanes)
    kernels = [(lattice, lattice.allocate(len(lanes))) for lattice in _lattices(image, params)]
    for lattice, _ in kernels:
        of_ones += lattice.filter_ones()
    for _ in range(params.iterations):
        for group in field:
            _pass_messages(group, kernels)
        last[:] = of_ones
        _normalise(field, last, unary, last_unary, lanes)
    others = field.transpose(0, 2, 1).reshape(-1, len(last))
    return np.vstack([others[: len(energies) - 1], last]).reshape(energies.shape)


def _pass_messages(group: NDArray[np.float32], kernels: list[tuple[Lattice, Buffers]]) -> None:
    """Replace probabilities (N, L) by their messages, the sum over all kernels."""
    blurred = [lattice.splat_and_blur(group, buffers) for lattice, buffers in kernels]
    group[:] = 0
    for (lattice, _), values in zip(kernels, blurred, strict=True):
        lattice.slice_onto(values, group)


def _grouped(energies: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (G, N, L): L classes per group; impossible classes fill up the last group."""
    count, pixels = energies.shape
    lanes = next((lanes for lanes in _LANES if lanes >= count), _LANES[-1])
    groups = -(-count // lanes)
    padded = np.full((groups * lanes, pixels), NEVER, np.float32)
    padded[:count] = energies
    return np.ascontiguousarray(padded.reshape(groups, lanes, pixels).transpose(0, 2, 1))


def _lattices(image: NDArray[np.uint8], params: CRFParams) -> Iterator[Lattice]:
    """Yield the filter of each kernel that has a weight."""
    places = np.indices(image.shape[:2], np.float32)[::-1].reshape(2, -1)  # column and row
    if params.gaussian_compat:
        yield _normalised(places / np.float32(params.gaussian_sxy), params.gaussian_compat)
    if params.bilateral_compat:
        colours = image.reshape(-1, 3).T / np.float32(params.bilateral_srgb)
        features = np.vstack([places / np.float32(params.bilateral_sxy), colours])
        yield _normalised(features, params.bilateral_compat)


def _normalised(features: NDArray[np.float32], compat: float) -> Lattice:
    """Return a symmetrically normalised, weighted filter."""
    lattice = build_lattice(features)
    lattice.scale(lattice.filter_ones() ** np.float32(-0.5) * np.float32(compat**0.5))
    return lattice


@kernel
def _normalise(field: Any, last: Any, unary: Any, last_unary: Any, lanes: Any) -> None:
    """Softmax of messages minus energies, in place.

    ``field`` (G, N, L) contains the messages before and the probabilities after; ``last`` (N,) the
    sum of all classes' messages before and the probabilities of the last class after. Blocks fit
    the first cache, and each loop does one thing, because LLVM vectorises only such loops.
    """
    top, total = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for start in range(0, len(last), BLOCK):
        stop = min(start + BLOCK, len(last))
        rest, most, sums = last[start:stop], top[: stop - start], total[: stop - start]
        most[:] = -np.inf
        for g in range(len(field)):
            _subtract(field[g, start:stop], unary[g, start:stop], rest, most, lanes)
        for i in range(len(rest)):
            rest[i] -= last_unary[start + i]
            most[i] = max(most[i], rest[i])
            rest[i] -= most[i]
        _exponentiate(rest)
        sums[:] = rest
        for g in range(len(field)):
            rows = field[g, start:stop]
            for i in range(len(rest)):
                for c in range(len(lanes)):
                    rows[i, c] -= most[i]
            _exponentiate(rows.reshape(-1))
            for i in range(len(rest)):
                for c in range(len(lanes)):
                    sums[i] += rows[i, c]
        for i in range(len(rest)):
            sums[i] = np.float32(1) / sums[i]
            rest[i] *= sums[i]
        for g in range(len(field)):
            rows = field[g, start:stop]
            for i in range(len(rest)):
                for c in range(len(lanes)):
                    rows[i, c] *= sums[i]


@kernel
def _subtract(rows: Any, unary: Any, rest: Any, most: Any, lanes: Any) -> None:
    for i in range(len(rest)):
        for c in range(len(lanes)):
            rest[i] -= rows[i, c]
            rows[i, c] -= unary[i, c]
            most[i] = max(most[i], rows[i, c])


@kernel
def _exponentiate(values: Any) -> None:
    """Compute exp of float32 values of at most 0, to 4 units in the last place; 0 below -60.

    So small a share decides nothing, and products with it would be subnormal, which is slow.
    """
    for i in range(len(values)):
        x = values[i]
        steps = np.floor(x * _LOG2_E + np.float32(0.5))
        rest = x - steps * _LN_2
        series = np.float32(1 / 720)
        series = series * rest + np.float32(1 / 120)
        series = series * rest + np.float32(1 / 24)
        series = series * rest + np.float32(1 / 6)
        series = series * rest + np.float32(0.5)
        series = series * rest + np.float32(1)
        series = series * rest + np.float32(1)
        exponent = np.int32(max(steps, np.float32(-126))) + np.int32(127)
        power = np.int32(exponent << np.int32(23)).view(np.float32)
        values[i] = series * power if x > np.float32(-60) else np.float32(0)
