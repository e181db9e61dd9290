import struct
import zlib

import cv2
import numpy as np
import pytest
from hostile.bombs import png
from PIL import Image

from wsseg.bands import ImageParams
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_files, image_size, read_header, read_image
from wsseg.safe_io import HAS_AVIF

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
        ("I;16", 257 * 40, (160, 160, 160)),  # of 14 bits
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
    own = read_image(tmp_path / "float.tiff")
    assert own[0, :, 0].tolist() == [0, 64, 255, 0]
    fixed = read_image(tmp_path / "float.tiff", ImageParams(range=(0, 1)))
    assert fixed[0, :, 0].tolist() == [0, 128, 255, 0]
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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_is_read(tmp_path, suffix):
    path = tmp_path / f"image{suffix.upper()}"
    bits = {".pbm": "1", ".pgm": "L"}
    image = Image.new(bits.get(suffix, "RGB"), (40, 30), "white")
    image.save(path, "jpeg" if suffix == ".mpo" else Image.registered_extensions().get(suffix))
    assert (read_image(path) > 250).all()
    assert image_size(path) == (30, 40)
    assert image_files(tmp_path) == [path]


def test_avif_is_read_where_pillow_decodes_it():
    assert (".avif" in SUFFIXES) == HAS_AVIF


def test_folders_of_images_without_hidden_files(tmp_path):
    for name in ("b.JFIF", "sub/a.gif", ".hidden.png", "__MACOSX/b.jpg", ".trash/c.png", "d.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert image_files(tmp_path) == [tmp_path / "b.JFIF", tmp_path / "sub/a.gif"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_deep_png_of_colours_keeps_its_values(tmp_path, mode):
    values = np.random.default_rng(0).integers(0, 4096, (30, 40, 4), dtype=np.uint16)
    path = tmp_path / "image.png"
    if mode == "LA":
        path.write_bytes(_gray_alpha_png(values[..., 0], values[..., 3]))
        expected = np.repeat(values[..., :1], 3, axis=2)
    else:
        expected = values[..., :3]
        stored = values[..., 2::-1] if mode == "RGB" else values[..., [2, 1, 0, 3]]
        path.write_bytes(cv2.imencode(".png", stored)[1].tobytes())
    assert (read_image(path) == (expected / 4095 * 255).round()).all()
    assert read_header(path).dtype == "uint16"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="readable image"):
        read_image(path)


def _gray_alpha_png(gray, alpha):
    rows = np.stack([gray, alpha], axis=2).astype(">u2")
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)
    content = png(gray.shape[1], gray.shape[0], pixels=zlib.compress(pixels))
    head = content[12:24] + b"\x10\4\0\0\0"
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


def test_bands_of_ordinary_images_are_chosen(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(UPRIGHT).save(path)
    assert (read_image(path, ImageParams(bands=(2, 1, 0))) == UPRIGHT[..., ::-1]).all()
    assert (read_image(path, ImageParams(bands=(1,))) == UPRIGHT[..., 1:2]).all()
    with pytest.raises(InputError, match=r"has 3 bands, but data\.bands asks for band 3; name"):
        read_image(path, ImageParams(bands=(3,)))


@pytest.mark.parametrize("range", ["percentile", (0, 10)])
def test_images_of_8_bits_keep_their_values(tmp_path, range):
    path = tmp_path / "image.png"
    Image.fromarray(UPRIGHT).save(path)
    assert (read_image(path, ImageParams(range=range)) == UPRIGHT).all()
