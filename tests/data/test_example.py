import numpy as np
import pytest
from PIL import Image

from wsseg.data.example import read_photograph
from wsseg.data.model import Sample
from wsseg.errors import InputError


def test_photograph_of_the_annotated_size_is_read(tmp_path):
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_photograph(Sample("a", tmp_path / "a.png", (3, 4), (), "train")) == pixels).all()
    for size in ((4, 3), (13_000, 13_000)):
        with pytest.raises(InputError, match=r"of the annotated size .*, got \(3, 4\)"):
            read_photograph(Sample("a", tmp_path / "a.png", size, (), "train"))
