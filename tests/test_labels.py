import errno

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from wsseg.errors import InputError
from wsseg.labels import (
    IGNORE,
    atomic_write,
    overlay,
    palette,
    read_label_map,
    write_label_map,
)

LABEL_MAPS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=20))


def test_palette_has_the_colours_of_pascal_voc():
    colours = palette()
    assert colours.shape == (256, 3)
    assert colours[[0, 1, 2, 15, 20, IGNORE]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]
    assert len(np.unique(colours, axis=0)) == 256


@given(label_map=LABEL_MAPS)
def test_label_maps_survive_the_disk(tmp_path_factory, label_map):
    path = tmp_path_factory.mktemp("maps") / "deep" / "map.png"
    write_label_map(path, label_map)
    assert (read_label_map(path) == label_map).all()
    with Image.open(path) as image:
        assert image.mode == "P"


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_with_the_file(tmp_path):
    with (
        pytest.raises(OSError, match="No space left") as caught,
        atomic_write(tmp_path / "map.png"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "map.png")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "1", "I;16"])
def test_label_map_of_another_mode_is_refused(tmp_path, mode):
    path = tmp_path / "map.png"
    Image.new(mode, (4, 3)).save(path)
    with pytest.raises(InputError, match=f"one 8-bit channel of class numbers, got mode {mode}"):
        read_label_map(path)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_damaged_label_map_is_an_input_error(tmp_path, content):
    path = tmp_path / "map.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="readable label map"):
        read_label_map(path)


def test_truncated_label_map_is_an_input_error(tmp_path):
    path = tmp_path / "map.png"
    write_label_map(path, np.random.default_rng(0).integers(0, 9, (50, 50), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="readable label map"):
        read_label_map(path)


@given(opacity=st.floats(0, 1))
def test_overlay_leaves_background_and_inputs_as_they_are(opacity):
    image = np.full((8, 8, 3), 100, np.uint8)
    label_map = np.zeros((8, 8), np.uint8)
    label_map[4:] = 1
    before = image.copy(), label_map.copy()
    drawn = overlay(image, label_map, opacity)
    assert (drawn[:3] == 100).all()
    assert (drawn[3:5] == 255).all()
    expected = 100 * (1 - opacity) + palette()[1] * opacity
    assert np.abs(drawn[6] - expected).max() <= 0.5 + 1e-9
    assert (image == before[0]).all() and (label_map == before[1]).all()
