"""Embed the images of a data set with a frozen encoder: the stage "embeddings" and its result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from sklearn.metrics import euclidean_distances

from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.files import atomic_write, name_in_errors
from wsseg.images import read_image
from wsseg.parallel import keep_results
from wsseg.runs.engine import map_samples
from wsseg.runs.labelling import samples_key
from wsseg.runs.progress import log, track
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.selection.encoders import EncoderSource, FrozenEncoder
from wsseg.stages.selection.foundation import FoundationEncoder, FoundationSource

Source = EncoderSource | FoundationSource
"""An encoder that maps images to vectors: of the settings, of a run, or a foundation model."""

_CHUNK = 512  # rows in memory at once
_TOLERANCE = 1e-3  # of the length of a unit vector; rows that a kill cut short differ more


@dataclass(frozen=True)
class Rows:
    """Unit vectors in an ``.npy`` file (N, D) of float32; rows that are not yet written are 0.

    Memory holds only the rows that are read. Rows are written through the file and not through a
    memory map, since a full disk then raises an error in place of a signal.
    """

    path: Path

    def shape(self) -> tuple[int, int] | None:
        """Return (N, D), or None if there is no such file."""
        try:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        is_valid = array.ndim == 2 and array.dtype == np.float32 and array.flags.c_contiguous
        return (array.shape[0], array.shape[1]) if is_valid else None

    def create(self, count: int, width: int) -> None:
        """Create the file with rows of 0; a file of this shape is kept."""
        if self.shape() == (count, width):
            return
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
        with atomic_write(self.path) as file:
            npy.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 4 * count * width)

    def write(self, row: int, vector: NDArray[np.float32]) -> None:
        """Write a vector (D,) of length 1 into a row."""
        with name_in_errors(self.path), self.path.open("r+b") as file:
            npy.read_magic(file)
            (_, width), _, _ = npy.read_array_header_1_0(file)
            file.seek(4 * width * row, 1)
            file.write(np.ascontiguousarray(vector, "<f4").tobytes())

    def read(self, rows: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float32]:
        """Return n rows as (n, D) float32."""
        array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        selected: NDArray[np.float32] = np.array(array[np.asarray(rows, np.intp)])
        return selected

    def written(self, chunk: int = 2 * _CHUNK) -> NDArray[np.bool_]:
        """Return which rows are complete, (N,) bool; empty if there is no file.

        Args:
            chunk: Rows in memory at once.
        """
        count, _ = self.shape() or (0, 0)
        complete = np.zeros(count, bool)
        for first in range(0, count, chunk):
            rows = np.arange(first, min(first + chunk, count))
            lengths = np.linalg.norm(self.read(rows), axis=1)
            complete[rows] = np.abs(lengths - 1) < _TOLERANCE
        return complete


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Unit vectors of N images, stored on disk.

    Args:
        index: (N,) row of each image in the file.
    """

    rows: Rows
    index: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.index)

    def of(self, images: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the vectors (n, D) float32 of n of the images, given by their index."""
        return self.rows.read(self.index[np.asarray(images, np.intp)])

    def only(self, images: NDArray[np.intp]) -> "Embeddings":
        """Return the embeddings of n of the images, in this order; nothing is copied."""
        return replace(self, index=self.index[images])

    def chunks(
        self, size: int = _CHUNK, smallest: int = 1
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield the images of each chunk and their vectors (n, D) float32.

        Args:
            size: Images per chunk; only the last chunk may be larger.
            smallest: A last chunk with fewer images is added to the one before it.
        """
        first, count = 0, len(self)
        while first < count:
            last = min(first + size, count)
            last = count if count - last < smallest else last
            yield slice(first, last), self.rows.read(self.index[first:last])
            first = last

    def mean(self) -> NDArray[np.float32]:
        """Return the mean vector, (D,) float32."""
        total = sum(chunk.sum(axis=0, dtype=np.float64) for _, chunk in self.chunks())
        return np.asarray(total / len(self), np.float32)

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the distance of each image to the nearest of some vectors.

        Args:
            vectors: (S, D); S may be 0.

        Returns:
            (N,) float64, 0..2 for unit vectors; infinite if S is 0.
        """
        nearest = np.full(len(self), np.inf)
        for place, chunk in self.chunks():
            for first in range(0, len(vectors), _CHUNK):
                distances = euclidean_distances(chunk, vectors[first : first + _CHUNK])
                nearest[place] = np.minimum(nearest[place], distances.min(axis=1))
        return nearest

    def distances_to(self, images: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the distance of each image to the nearest of S of the images.

        Returns:
            (N,) float64; 0 for the S images themselves, infinite if S is 0.
        """
        nearest = np.full(len(self), np.inf)
        for first in range(0, len(images), _CHUNK):
            some = self.of(images[first : first + _CHUNK])
            nearest = np.minimum(nearest, self.distances(some))
        nearest[np.asarray(images, np.intp)] = 0  # without the error of rounding
        return nearest


def embed_images(run: Run, samples: Sequence[Sample], source: Source) -> Stage:
    """Run the stage "embeddings", which writes a unit vector of every image into ``rows.npy``.

    An interrupted attempt continues with the rows that are missing. Images that cannot be used are
    listed in the manifest under "skipped"; their rows are 0.

    Args:
        samples: The images; their annotations have no influence.

    Raises:
        InputError: No image could be used, or the encoder cannot be built.
    """
    bare = [replace(sample, annotations=()) for sample in samples]
    stage = run.stage("embeddings", samples=samples_key(bare), encoder=source.key())
    rows = Rows(stage.path / "rows.npy")

    def embed() -> dict[str, Any]:
        skipped = _embed_missing(run, stage, bare, source)
        if len(skipped) == len(samples):
            reason = next(iter(skipped.values()), "no image")
            raise InputError(
                f"No image of the stage {stage.name} is usable: {reason}", hint="correct the data"
            )
        for identity, reason in sorted(skipped.items()):
            log(f"{stage.name}: skipped {identity}: {reason}")
        return {"images": len(samples) - len(skipped), "skipped": dict(sorted(skipped.items()))}

    intact = int(rows.written().sum()) == stage.results.get("images")
    return stage.run(embed, intact=intact)


def embeddings_of(stage: Stage, samples: Sequence[Sample]) -> Embeddings:
    """Return the embeddings of a complete stage.

    Args:
        samples: The images that ``embed_images`` received.

    Returns:
        Embeddings of the images that were not skipped, in their order.
    """
    skipped = stage.skipped
    index = [row for row, sample in enumerate(samples) if sample.id not in skipped]
    return Embeddings(Rows(stage.path / "rows.npy"), np.array(index, np.intp))


def _embed_missing(
    run: Run, stage: Stage, samples: Sequence[Sample], source: Source
) -> dict[str, str]:
    rows, count = Rows(stage.path / "rows.npy"), len(samples)
    done = rows.written() if (rows.shape() or (0, 0))[0] == count else np.zeros(count, bool)
    row_of = {sample.id: row for row, sample in enumerate(samples)}
    missing = [sample for sample, is_done in zip(samples, done, strict=True) if not is_done]
    results = map_samples(partial(_embed, source=source, key=stage.key), missing, run.config)
    skipped = dict[str, str]()
    tracked = track(results, stage.name, count, int(done.sum()))
    for identity, vector in keep_results(tracked, skipped):
        rows.create(count, len(vector))
        rows.write(row_of[identity], vector)
    return skipped


def _embed(sample: Sample, source: Source, key: str) -> tuple[str, NDArray[np.float32]]:
    return sample.id, _load(source, key).embed(read_image(sample.image, sample.reading))


@lru_cache(maxsize=1)
def _load(source: Source, key: str) -> FrozenEncoder | FoundationEncoder:  # noqa: ARG001 - see below
    # The key belongs to the cache: the weights file may have changed since the last stage.
    return source.load()
