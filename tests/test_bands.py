import numpy as np
import pytest

from wsseg.bands import ImageParams, choose_bands, scale
from wsseg.errors import InputError


def gray(*values, dtype=np.uint16):
    return np.array([values], dtype)[..., None]


def levels(values, range="auto"):
    scaled, scaling = scale(values, range)
    return scaled[0, :, 0].tolist(), scaling.ranges[0]


@pytest.mark.parametrize(
    ("high", "limit"),
    [(200, 255), (900, 1023), (2928, 4095), (4095, 4095), (4096, 16383), (16384, 65535)],
)
def test_auto_takes_the_smallest_usual_depth(high, limit):
    level = round(high / limit * 255)
    assert levels(gray(0, high, high)) == ([0, level, level], (0, limit))


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ((0, 10), np.uint16, (0, 10)),
        ((0, 100_000), np.int32, (0, 100_000)),
        ((0, 0.5), np.float32, (0, 1)),
        ((0, 0.1), np.float32, (0, 0.1)),
        ((0, 3), np.float64, (0, 3)),
        ((-30, -5), np.float32, (-30, -5)),
        ((-7, -7), np.int16, (-7, -6)),
        ((0, 0), np.uint16, (0, 255)),
        ((np.nan, np.inf), np.float32, (0, 1)),
    ],
)
def test_auto_takes_the_own_range_of_other_values(values, dtype, expected):
    _, used = levels(gray(*values, dtype=dtype))
    np.testing.assert_allclose(used, expected, rtol=0.01, atol=0.001)


def test_auto_ignores_few_bright_pixels():
    values = np.full((100, 100, 1), 2000, np.uint16)
    values[0, :5] = 65_535
    scaled, scaling = scale(values, "auto")
    assert scaling.ranges == ((0, 4095),)
    assert scaling.extent == (2000, 65_535)
    assert scaled[0, 0, 0] == 255 and scaled[5, 5, 0] == round(2000 / 4095 * 255)


def test_the_bands_share_a_range_unless_it_is_of_percentiles():
    values = np.stack([np.linspace(0, 1000, 101), np.linspace(3000, 4000, 101)], axis=1)
    values = values.astype(np.uint16)[None]
    assert scale(values, "auto")[1].ranges == ((0, 4095),) * 2
    scaled, scaling = scale(values, "percentile")
    np.testing.assert_allclose(scaling.ranges, [(10, 990), (3010, 3990)])
    assert (scaled[..., 0] == scaled[..., 1]).all()
    assert scaling.source == "1 to 99 % of each band"


def test_a_band_of_one_value_has_no_percentiles():
    assert levels(gray(1000, 1000), "percentile") == ([249, 249], (0, 1023))


def test_a_fixed_range_is_the_same_for_all_images():
    assert levels(gray(50, 100, 200, 300), (100, 200)) == ([0, 0, 255, 255], (100, 200))


@pytest.mark.parametrize(
    ("colours", "hint"),
    [(2, "2 bands; choose one with data.bands=[0]"), (4, "choose three with data.bands=[0,1,2]")],
)
def test_unclear_bands_are_a_sentence(colours, hint):
    with pytest.raises(InputError) as error:
        choose_bands(np.zeros((2, 3, colours)), colours, None, "im0.tif")
    assert str(error.value).startswith(f"im0.tif has {colours} bands;")
    assert str(error.value).endswith(hint)


@pytest.mark.parametrize("bands", [(0, 1), (0, 1, 2, 3), (-1,), (), "0,x"])
def test_bad_bands(bands):
    with pytest.raises(InputError, match="bands"):
        ImageParams(bands=bands)


@pytest.mark.parametrize(
    "range", ["best", (1, 1), (2, 1), (0, np.inf), (0, np.nan), (1,), "0,x", 3]
)
def test_bad_ranges(range):
    with pytest.raises(InputError, match="range in ImageParams must be"):
        ImageParams(range=range)


def test_options_are_lists_with_commas():
    assert ImageParams(range="0,4095", bands="3,2,1") == ImageParams(
        range=(0, 4095), bands=(3, 2, 1)
    )
