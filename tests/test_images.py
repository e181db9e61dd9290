import numpy as np
import pytest
from PIL import Image

from wsseg.errors import InputError
from wsseg.images import image_size, read_header, read_image

UPRIGHT = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
TURNS = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT, -1),
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(UPRIGHT),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_images_are_read_upright(tmp_path, orientation, suffix):
    path = tmp_path / f"image.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(UPRIGHT).save(path, exif=exif, **options)
    read = read_image(path)
    assert (read == TURNS[orientation]).all()
    assert image_size(path) == read.shape[:2]
    assert read_header(path).orientation == orientation


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (1, 2, 3, 0), (1, 2, 3)),
        ("LA", (9, 0), (9, 9, 9)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 40, (40, 40, 40)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, expected):
    path = tmp_path / "image.png"
    Image.new(mode, (3, 2), colour).save(path)
    read = read_image(path)
    assert read.dtype == np.uint8
    assert read.shape == (2, 3, 3)
    assert (read == expected).all()


def test_float_and_cmyk_images_become_rgb(tmp_path):
    values = np.array([[0, 0.5, 2, np.nan]], np.float32)
    Image.fromarray(values).save(tmp_path / "float.tiff")
    assert read_image(tmp_path / "float.tiff")[0, :, 0].tolist() == [0, 128, 255, 0]
    Image.new("CMYK", (2, 2)).save(tmp_path / "cmyk.jpg")
    assert (read_image(tmp_path / "cmyk.jpg") == 255).all()


def test_deep_images_are_scaled_alike_strip_by_strip(tmp_path):
    values = np.random.default_rng(0).integers(0, 65_536, (700, 3), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "image.png")
    expected = (values / 65_535 * 255).round().astype(np.uint8)
    assert (read_image(tmp_path / "image.png") == expected[..., None]).all()


@pytest.mark.parametrize("read", [read_image, image_size, read_header])
@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff\xd8\xff", None])
def test_damaged_images_are_input_errors(tmp_path, read, content):
    path = tmp_path / "image.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="readable image"):
        read(path)


@pytest.mark.parametrize(
    ("suffix", "length", "message"), [("jpg", 1500, "truncated"), ("png", 3000, "readable image")]
)
def test_truncated_image_has_a_size_but_no_pixels(tmp_path, suffix, length, message):
    path = tmp_path / f"image.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:length])
    assert image_size(path) == (40, 60)
    assert read_header(path).orientation == 1
    with pytest.raises(InputError, match=message):
        read_image(path)


def test_orientation_behind_the_pixels_of_a_png_is_found(tmp_path):
    path = tmp_path / "image.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(UPRIGHT).save(path, exif=exif)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(content[start : start + 4], "big")
    chunk, end = content[start:stop], content.index(b"IEND") - 4
    path.write_bytes(content[:start] + content[stop:end] + chunk + content[end:])
    assert image_size(path) == (3, 2)
    assert (read_image(path) == TURNS[6]).all()
