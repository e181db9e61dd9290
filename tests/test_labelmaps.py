import errno
import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from wsseg.errors import InputError
from wsseg.files import PARTIAL, atomic_write, discard_partial
from wsseg.labelmaps import (
    IGNORE,
    overlay,
    palette,
    read_label_map,
    read_scores,
    write_label_map,
    write_scores,
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


def test_a_full_disk_is_reported_with_the_file(tmp_path):
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


SCORES = array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=9).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(0, 1, width=32))
)


@given(scores=SCORES)
def test_scores_survive_the_disk_as_16_bit_floats(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("scores") / "deep" / "scores.npz"
    classes, before = tuple(range(3, 3 + len(scores))), scores.copy()
    write_scores(path, classes, scores)
    labels, found = read_scores(path)
    assert labels.dtype == np.uint8 and labels.tolist() == list(classes)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, scores.astype(np.float16))
    assert np.abs(found - scores).max(initial=0) <= 2**-11
    np.testing.assert_array_equal(scores, before)
    assert list(path.parent.iterdir()) == [path]


def scores_file(path):
    write_scores(path, (1, 3), np.random.default_rng(0).random((2, 1, 2)))
    return path.read_bytes()


def test_missing_scores_are_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"none\.npz must be a readable .*got no such file"):
        read_scores(tmp_path / "none.npz")


def test_scores_cut_off_anywhere_are_an_input_error(tmp_path):
    path = tmp_path / "scores.npz"
    content = scores_file(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="must be a readable file of scores"):
            read_scores(path)


def test_a_changed_byte_is_reported_or_changes_no_score(tmp_path):
    path = tmp_path / "scores.npz"
    content = scores_file(path)
    labels, scores = read_scores(path)
    reported = 0
    for place in range(len(content)):
        for flipped in (0x01, 0xFF):
            path.write_bytes(
                content[:place] + bytes([content[place] ^ flipped]) + content[place + 1 :]
            )
            try:
                found = read_scores(path)
            except InputError:
                reported += 1
            else:
                np.testing.assert_array_equal(found[0], labels)
                np.testing.assert_array_equal(found[1], scores)
    assert reported > len(content)


class Dangerous:
    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def saved(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def single(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


OTHER_FILES = {
    "text": b"no scores",
    "npy": single(np.zeros(3)),
    "no scores": saved(classes=np.zeros(1)),
    "no classes": saved(scores=np.zeros(1)),
    "pickle": pickle.dumps(Dangerous()),
    "pickle in npy": single(np.array([Dangerous()], object)),
    "pickle in npz": saved(classes=np.zeros(1, np.uint8), scores=np.array([Dangerous()], object)),
}


@pytest.mark.parametrize("content", OTHER_FILES.values(), ids=OTHER_FILES)
def test_another_file_is_no_file_of_scores_and_never_unpickled(tmp_path, content):
    path = tmp_path / "scores.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="must be a readable file of scores"):
        read_scores(path)


@pytest.mark.parametrize(
    ("classes", "scores"),
    [
        (np.zeros(2, np.uint8), np.zeros((1, 4, 5))),
        (np.zeros(1, np.uint8), np.zeros((4, 5))),
        (np.zeros((1, 1), np.uint8), np.zeros((1, 4, 5))),
        (np.zeros((), np.uint8), np.zeros((1, 4, 5))),
        (np.array([300]), np.zeros((1, 4, 5))),
        (np.array(["cat"]), np.zeros((1, 4, 5))),
        (np.zeros(1, np.uint8), np.zeros((1, 4, 5), complex)),
    ],
)
def test_scores_that_do_not_fit_their_labels_are_refused(tmp_path, classes, scores):
    path = tmp_path / "scores.npz"
    path.write_bytes(saved(classes=classes, scores=scores))
    with pytest.raises(InputError, match=r"labels \(T,\) and float scores \(T, h, w\), got"):
        read_scores(path)


def test_what_a_kill_cut_off_is_removed(tmp_path):
    (tmp_path / "inner").mkdir()
    for folder in (tmp_path, tmp_path / "inner"):
        (folder / f"{PARTIAL}x").touch()
    discard_partial(tmp_path, ".")
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", f"{PARTIAL}x"]
    discard_partial(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["inner"]
