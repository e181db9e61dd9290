import base64
import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from wsseg.report.encoding import (
    decoded_label_map,
    encoded_label_map,
    encoded_photograph,
    shown_size,
)

LABEL_MAPS = arrays.arrays(
    np.uint8, arrays.array_shapes(min_dims=2, max_dims=2), elements=st.sampled_from([0, 1, 255])
)


@settings(max_examples=60, deadline=None)
@given(LABEL_MAPS)
def test_small_label_maps_come_back_as_they_were(label_map):
    text = encoded_label_map(label_map, 100)
    np.testing.assert_array_equal(decoded_label_map(text, label_map.shape), label_map)


def test_long_runs():
    label_map = np.zeros((200, 300), np.uint8)
    label_map[150:] = 7
    text = encoded_label_map(label_map, 300)
    assert len(text) < 16
    np.testing.assert_array_equal(decoded_label_map(text, (200, 300)), label_map)


def test_large_label_maps_show_pixels_at_centres():
    label_map = np.arange(81, dtype=np.uint8).reshape(9, 9)
    found = decoded_label_map(encoded_label_map(label_map, 3), (3, 3))
    np.testing.assert_array_equal(found, label_map[1::3, 1::3])


def test_photographs_are_shown_in_the_size_of_their_labels():
    image = np.full((50, 80, 3), (200, 30, 30), np.uint8)
    head, data = encoded_photograph(image, 40).split(",")
    assert head == "data:image/jpeg;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(data)))
    assert shown.size[::-1] == shown_size((50, 80), 40) == (25, 40)
    assert np.abs(np.asarray(shown, int) - (200, 30, 30)).max() < 12


def test_thin_images_keep_a_pixel():
    assert shown_size((1, 5000), 100) == (1, 100)
    assert (
        decoded_label_map(encoded_label_map(np.zeros((1, 5000), np.uint8), 100), (1, 100)).any()
        == 0
    )
