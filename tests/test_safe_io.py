import io
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from wsseg.errors import InputError, printable
from wsseg.images import image_size, read_image
from wsseg.labelmaps import read_label_map
from wsseg.safe_io import MAX_PIXELS, open_image, open_regular


def header(width, height):
    """A PGM needs no pixels to say how many it has."""
    return io.BytesIO(b"P5 %d %d 255\n" % (width, height))


def test_a_regular_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    with open_regular(tmp_path / "a") as file:
        assert file.read() == b"abc" and file.name == str(tmp_path / "a")


def test_nothing_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="no regular file"):
        open_regular(tmp_path / "a.png")
    for read in (read_image, image_size, read_label_map):
        with pytest.raises(InputError, match="no regular file"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "."])
def test_devices_and_folders_are_no_files(name):
    with pytest.raises(OSError, match="no regular file"):
        open_regular(name)


def test_large_images_are_opened_without_a_word_and_larger_ones_refused():
    with warnings.catch_warnings(), open_image(header(MAX_PIXELS // 10, 10)) as image:
        assert image.size == (MAX_PIXELS // 10, 10)
    for width in (MAX_PIXELS // 10 + 1, 10**8):
        with (
            pytest.raises(ValueError, match="178,956,970 pixels"),
            open_image(header(width, 10)),
        ):
            pass


def test_the_limit_stands_whatever_pillow_is_set_to(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ValueError, match="cut it into tiles"), open_image(header(10**8, 10)):
        pass


def test_only_the_given_formats_are_opened():
    with (
        pytest.raises(ValueError, match="no image of a known kind"),
        open_image(header(2, 2), ("PNG",)),
    ):
        pass


def test_a_damaged_image_is_reported_by_its_own_name(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"a\.png must be .* no image of a known kind") as caught:
        read_image(tmp_path / "a.png")
    assert "BufferedReader" not in str(caught.value)


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "\udcff", "\u202e", "a\0"])
def test_errors_are_one_line_that_can_be_printed(text):
    error = InputError(text, "a", text, "b")
    assert str(error).isprintable() and str(error).encode().decode() == str(error)
    assert error.got == text and printable("Kühe & <b>") == "Kühe & <b>"


def test_orientation_and_pixels_of_a_file_like_object():
    file = io.BytesIO()
    Image.fromarray(np.eye(3, dtype=np.uint8)).save(file, "png")
    with open_image(io.BytesIO(file.getvalue())) as image:
        assert (np.asarray(image) == np.eye(3)).all()
