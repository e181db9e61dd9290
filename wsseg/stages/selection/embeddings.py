"""The images of a data set as vectors of a frozen encoder: a stage, and its result on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import euclidean_distances

from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.parallel import Skipped
from wsseg.runs.engine import map_samples
from wsseg.runs.labelling import samples_key
from wsseg.runs.progress import log, track
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.selection.encoders import EncoderSource, FrozenEncoder
from wsseg.stages.selection.rows import Rows

_CHUNK = 512  # rows in memory at once


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors of N images, on disk.

    Args:
        rows: The file.
        numbers: (N,) its row of each image.
    """

    rows: Rows
    numbers: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, images: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the vectors of some images.

        Args:
            images: n of them, by their place among the N.

        Returns:
            (n, D) float32.
        """
        return self.rows.read(self.numbers[np.asarray(images, np.intp)])

    def only(self, images: NDArray[np.intp]) -> "Embeddings":
        """Return the embeddings of some images, nothing copied.

        Args:
            images: n of them, by their place among the N.

        Returns:
            Those of the n images, in this order.
        """
        return replace(self, numbers=self.numbers[images])

    def chunks(
        self, size: int = _CHUNK, smallest: int = 1
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield all vectors, a few at a time.

        Args:
            size: Most of them at once, but for the last chunk.
            smallest: Fewest of them at once, where there are as many.

        Yields:
            Which images, and (n, D) float32.
        """
        first, count = 0, len(self)
        while first < count:
            last = min(first + size, count)
            last = count if count - last < smallest else last
            yield slice(first, last), self.rows.read(self.numbers[first:last])
            first = last

    def mean(self) -> NDArray[np.float32]:
        """Return the mean vector, (D,) float32."""
        total = sum(chunk.sum(axis=0, dtype=np.float64) for _, chunk in self.chunks())
        return np.asarray(total / len(self), np.float32)

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how far each image is from the nearest of some vectors.

        Args:
            vectors: (S, D); S may be 0.

        Returns:
            (N,) float64, 0..2 from unit vectors; infinite where S is 0.
        """
        nearest = np.full(len(self), np.inf)
        for place, chunk in self.chunks():
            for first in range(0, len(vectors), _CHUNK):
                found = euclidean_distances(chunk, vectors[first : first + _CHUNK]).min(axis=1)
                nearest[place] = np.minimum(nearest[place], found)
        return nearest

    def distances_to(self, images: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
        """Return how far each image is from the nearest of some images.

        Args:
            images: S of them, by their place among the N; S may be 0.

        Returns:
            (N,) float64; 0 for the images themselves, infinite where S is 0.
        """
        nearest = np.full(len(self), np.inf)
        for first in range(0, len(images), _CHUNK):
            some = self.of(images[first : first + _CHUNK])
            nearest = np.minimum(nearest, self.distances(some))
        nearest[np.asarray(images, np.intp)] = 0  # whatever rounding says
        return nearest


def embed_images(run: Run, samples: Sequence[Sample], source: EncoderSource) -> Stage:
    """Return the stage "embeddings": a unit vector of every image, in ``rows.npy``.

    An interrupted attempt goes on with the images whose rows are not there. Images that cannot
    be used are listed in the manifest under "skipped"; their rows are 0.

    Args:
        run: Where it is kept, and in how many processes it works.
        samples: The images; what is drawn on them does not matter.
        source: The encoder.

    Returns:
        The complete stage.

    Raises:
        InputError: No image could be used, or the encoder cannot be built.
    """
    bare = [replace(sample, annotations=()) for sample in samples]
    stage = run.stage("embeddings", samples=samples_key(bare), encoder=source.key())

    def embed() -> dict[str, Any]:
        skipped = _embed_missing(run, stage, bare, source)
        if len(skipped) == len(samples):
            reason = "".join(f": {text}" for text in [*skipped.values()][:1])
            problem = f"stage {stage.name} has no usable image{reason}"
            raise InputError(problem, hint="correct the data")
        for identity, text in sorted(skipped.items()):
            log(f"{stage.name}: skipped {identity}: {text}")
        return {"images": len(samples) - len(skipped), "skipped": dict(sorted(skipped.items()))}

    return stage.run(embed, intact=_is_whole(stage))


def embeddings_of(stage: Stage, samples: Sequence[Sample]) -> Embeddings:
    """Return the vectors of a complete stage.

    Args:
        stage: Of ``embed_images``.
        samples: The images that it was given.

    Returns:
        Those of the images that were not set aside, in their order.
    """
    bad = stage.skipped
    numbers = [number for number, sample in enumerate(samples) if sample.id not in bad]
    return Embeddings(Rows(stage.path / "rows.npy"), np.array(numbers, np.intp))


def _embed_missing(
    run: Run, stage: Stage, samples: Sequence[Sample], source: EncoderSource
) -> dict[str, str]:
    rows, count = Rows(stage.path / "rows.npy"), len(samples)
    whole = rows.written() if (rows.shape() or (0, 0))[0] == count else np.zeros(count, bool)
    numbers = {sample.id: number for number, sample in enumerate(samples)}
    left = [sample for sample, done in zip(samples, whole, strict=True) if not done]
    embed = partial(_embed, source=source, key=stage.key)
    results = map_samples(embed, left, run.config)
    set_aside = {}
    for result in track(results, stage.name, count, int(whole.sum())):
        if isinstance(result, Skipped):
            set_aside[result.id] = result.reason
            continue
        identity, vector = result
        rows.create(count, len(vector))
        rows.write(numbers[identity], vector)
    return set_aside


def _is_whole(stage: Stage) -> bool:
    rows = Rows(stage.path / "rows.npy")
    return stage.is_complete and int(rows.written().sum()) == stage.results["images"]


def _embed(sample: Sample, source: EncoderSource, key: str) -> tuple[str, NDArray[np.float32]]:
    return sample.id, _loaded(source, key).embed(read_image(sample.image))


@lru_cache(maxsize=1)
def _loaded(source: EncoderSource, key: str) -> FrozenEncoder:  # noqa: ARG001 - see below
    # The key is there for the cache: a file of weights may be another one by now.
    return source.load()
