"""A small data set of generated scenes, and embeddings made without any network."""

import numpy as np
import pytest

from wsseg.stages.selection.embeddings import Embeddings, Rows
from wsseg.synthetic.scenes import write_scenes

TINY = """
classifier:
  encoder: mobilenetv3_small_050
model:
  weights: null
"""


@pytest.fixture
def scenes(tmp_path):
    write_scenes(tmp_path / "scenes", train=8, val=1, seed=0, sides=(48, 64))
    return tmp_path / "scenes"


@pytest.fixture
def tiny(tmp_path):
    """Settings of an encoder that needs no weights."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path / "tiny.yaml"


@pytest.fixture
def embedded(tmp_path):
    """Writes vectors at length 1 to disk."""

    def make(vectors):
        vectors = np.asarray(vectors, np.float32)
        rows = Rows(tmp_path / "rows.npy")
        rows.path.unlink(missing_ok=True)
        rows.create(*vectors.shape)
        for number, vector in enumerate(vectors):
            rows.write(number, vector / np.linalg.norm(vector))
        return Embeddings(rows, np.arange(len(vectors)))

    return make


@pytest.fixture
def random_vectors():
    return np.random.default_rng(0).normal(size=(60, 5))
