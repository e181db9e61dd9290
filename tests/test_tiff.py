import struct
from itertools import product

import cv2
import numpy as np
import pytest
import tifffile
from hostile.bombs import tiff
from PIL import Image

from wsseg.bands import ImageParams
from wsseg.errors import InputError
from wsseg.images import image_size, read_header, read_image
from wsseg.tiff import needs_tifffile, open_tiff, read_page

CASES = product(
    ("uint8", ">u2", "int16", "float64"),
    (2, 3, 5),
    ("contig", "separate"),
    (None, "zlib"),
    (None, (16, 32)),
)


def values_of(path):
    with path.open("rb") as file:
        assert needs_tifffile(file, every_band=True)
        with open_tiff(file) as page:
            return read_page(page)


def noise(bands, dtype="uint16", size=(40, 50), most=200):
    return (np.random.default_rng(0).random((*size, bands)) * most).astype(dtype)


def written(path, values, planar="contig", **options):
    stored = values if planar == "contig" else np.moveaxis(values, 2, 0)
    options = {"photometric": "minisblack", "rowsperstrip": 7, **options}
    tifffile.imwrite(path, stored, planarconfig=planar, **options)
    return path


def test_every_layout_keeps_its_values(tmp_path):
    for number, (dtype, bands, planar, compression, tile) in enumerate(CASES):
        values, path = noise(bands, dtype), tmp_path / f"{number}.tif"
        options = {
            "predictor": compression == "zlib" and dtype[0] != "f",
            "compression": compression,
            "tile": tile,
        }
        written(path, values, planar, byteorder=">" if dtype[0] == ">" else "<", **options)
        np.testing.assert_array_equal(values_of(path), values, strict=dtype[0] != ">")


@pytest.mark.parametrize("compression", [5, 32773], ids=["LZW", "PackBits"])
def test_compressions_of_libtiff_keep_their_values(tmp_path, compression):
    values, path = noise(3, most=60_000), tmp_path / "a.tif"
    cv2.imwrite(str(path), values[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.compression == compression
    assert (values_of(path) == values).all()


def test_planes_of_16_bits(tmp_path):
    values = noise(3, most=65_535)
    path = written(tmp_path / "a.tif", values, "separate", photometric="rgb")
    assert (read_image(path) == (values / 65_535 * 255).round()).all()
    assert read_header(path).dtype == "uint16"


def test_reflectance_is_not_black(tmp_path):
    path = written(tmp_path / "a.tif", noise(3, most=2900), photometric="rgb")
    assert (read_image(path) == (noise(3, most=2900) / 4095 * 255).round()).all()


def test_four_bands_are_chosen(tmp_path):
    values = noise(4, "uint8")
    path = written(tmp_path / "im0.tif", values)
    assert image_size(path) == (40, 50)
    with pytest.raises(InputError, match=r"has 4 bands; choose three with data.bands=\[0,1,2\]"):
        read_image(path)
    assert (read_image(path, ImageParams(bands=(3, 1, 0))) == values[..., [3, 1, 0]]).all()
    assert (read_image(path, ImageParams(bands=(2,))) == values[..., 2:3]).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_is_dropped(tmp_path, dtype):
    values = noise(4, dtype, most=255)
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    path = written(tmp_path / "a.tif", values, **options)
    assert (read_image(path) == values[..., :3]).all()


def test_ordinary_images_are_read_by_pillow(tmp_path):
    for number, mode in enumerate(("L", "RGB", "RGBA", "LA", "CMYK", "P", "I;16", "F")):
        path = tmp_path / f"{number}.tif"
        Image.new(mode, (40, 30)).save(path)
        with path.open("rb") as file:
            assert not needs_tifffile(file)
            assert file.tell() == 0


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_deep_images_are_upright(tmp_path, orientation):
    extra = [(274, "H", 1, orientation, True)]
    path = written(tmp_path / "a.tif", noise(3, most=60_000), photometric="rgb", extratags=extra)
    upright = {1: noise, 3: lambda *a, **k: noise(*a, **k)[::-1, ::-1]}
    turned = upright.get(orientation, lambda *a, **k: np.rot90(noise(*a, **k), -1))
    expected = (turned(3, most=60_000) / 65_535 * 255).round()
    assert (read_image(path) == expected).all()
    assert image_size(path) == expected.shape[:2]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_truncated_files(tmp_path, compression, planar):
    path = written(tmp_path / "a.tif", noise(4), planar, compression=compression)
    content = path.read_bytes()
    for length in (9, 100, len(content) // 2, len(content) - 300):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"image, got (damaged|truncated) TIFF;"):
            read_image(path)


def test_claims_of_size_are_refused_before_decoding(tmp_path):
    path = written(tmp_path / "a.tif", noise(4))
    path.write_bytes(tiff(path.read_bytes(), 50_000, 50_000))
    for read in (read_image, image_size):
        with pytest.raises(InputError, match="got more than 178,956,970 pixels"):
            read(path)
    path.write_bytes(tiff(written(path, noise(4, "float64")).read_bytes(), 13_000, 13_000))
    with pytest.raises(InputError, match="got more than 1,431,655,760 bytes of values"):
        read_image(path)


def test_segments_that_decompress_to_more_are_cut_off(tmp_path):
    bomb = written(tmp_path / "bomb.tif", np.zeros((4000, 4000, 2), np.uint8), compression="zlib")
    with tifffile.TiffFile(bomb) as file:
        offset, count = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    strip = bomb.read_bytes()[offset : offset + count]
    small = written(tmp_path / "a.tif", noise(2, "uint8", size=(7, 5)), compression="zlib")
    with tifffile.TiffFile(small) as file:
        tags = file.pages.first.tags
        places = tags[273].valueoffset, tags[279].valueoffset
    content = bytearray(small.read_bytes())
    struct.pack_into("<I", content, places[0], len(content))
    struct.pack_into("<I" if tags[279].dtype == 4 else "<H", content, places[1], len(strip))
    small.write_bytes(bytes(content) + strip)
    assert (values_of(small) == 0).all()


def test_other_compressions_are_a_sentence(tmp_path):
    path = written(tmp_path / "a.tif", noise(4), compression="lzma")
    with pytest.raises(InputError, match=r"LZMA compression of uint16 values"):
        read_image(path)
