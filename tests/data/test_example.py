import numpy as np
import pytest
from PIL import Image

from wsseg.data import constraints, example
from wsseg.data.annotation import Tags
from wsseg.data.example import example_of, read_sample_image
from wsseg.data.model import Sample
from wsseg.errors import InputError

PIXELS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


@pytest.fixture
def path(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def sample_of(path, size=(3, 4)):
    return Sample("a", path, size, (Tags((2,)),), "train")


def test_image_and_constraints_are_read_once(path, monkeypatch):
    counts = {"read_image": 0, "constraints_of": 0}

    def counted(name, function):
        def call(*arguments):
            counts[name] += 1
            return function(*arguments)

        monkeypatch.setattr(example, name, call)

    counted("read_image", example.read_image)
    counted("constraints_of", constraints.constraints_of)
    made = example_of(sample_of(path), 4)
    assert counts == {"read_image": 0, "constraints_of": 0}
    for _ in range(2):
        np.testing.assert_array_equal(made.image, PIXELS)
        assert made.constraints.classes.tolist() == [0, 2]
    assert counts == {"read_image": 1, "constraints_of": 1}


def test_an_image_in_memory_is_not_read_again(tmp_path):
    made = example_of(sample_of(tmp_path / "missing.png"), 4, PIXELS)
    assert made.image is PIXELS
    assert made.constraints.allowed.shape == (2, 3, 4)


@pytest.mark.parametrize("size", [(4, 3), (13_000, 13_000)])
def test_an_image_of_another_size_is_refused_before_constraints_are_made(path, size, monkeypatch):
    monkeypatch.setattr(example, "constraints_of", None)
    wrong = sample_of(path, size)
    match = r"of the annotated size .*, got \(3, 4\)"
    with pytest.raises(InputError, match=match):
        read_sample_image(wrong)
    with pytest.raises(InputError, match=match):
        _ = example_of(wrong, 4).constraints
    with pytest.raises(InputError, match=match):
        example_of(wrong, 4, PIXELS)
