import numpy as np
import pytest

from wsseg.synthetic.painting import (
    HUES,
    SHAPES,
    TEXTURES,
    paint_background,
    paint_object,
    simulate_camera,
)

SIZE = (60, 70)


def _coordinates():
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    return (columns - 35) / 20, (rows - 30) / 20


def test_every_label_has_a_shape_a_texture_and_a_hue():
    assert set(SHAPES) == set(TEXTURES) == set(range(1, len(HUES)))


@pytest.mark.parametrize("label", SHAPES)
def test_shapes_are_reached_by_their_coordinates_and_vary(label):
    masks = [SHAPES[label](np.random.default_rng(i), *_coordinates()) for i in range(8)]
    assert all(mask.shape == SIZE and mask.any() and not mask[0].any() for mask in masks)
    assert len({mask.tobytes() for mask in masks}) > 1


def test_a_ring_has_a_hole_and_a_disc_has_none():
    rng = np.random.default_rng(0)
    assert not SHAPES[2](rng, *_coordinates())[30, 35]
    assert SHAPES[1](rng, *_coordinates())[30, 35]


@pytest.mark.parametrize("label", TEXTURES)
def test_textures_are_shares(label):
    texture = TEXTURES[label](np.random.default_rng(1), *_coordinates())
    assert texture.shape == SIZE and texture.dtype == np.float32
    assert texture.min() >= 0 and texture.max() <= 1
    assert texture.std() > 0.05


def test_painting_an_object_changes_its_pixels_alone():
    image, mask = np.full((*SIZE, 3), 90, np.float32), np.zeros(SIZE, bool)
    mask[20:40, 20:40] = True
    drawn = paint_object(np.random.default_rng(0), image, 1, mask, _coordinates())
    assert (image == 90).all()
    assert (drawn[:10] == 90).all() and (drawn[25:35, 25:35] != 90).any(axis=-1).all()
    assert drawn.min() >= 0 and drawn.max() <= 255


def test_backbackgrounds_vary_and_become_images():
    backgrounds = [paint_background(np.random.default_rng(i), SIZE) for i in range(12)]
    assert all(made.shape == (*SIZE, 3) and made.min() >= 0 for made in backgrounds)
    assert len({made.tobytes() for made in backgrounds}) == 12
    before = backgrounds[0].copy()
    image = simulate_camera(np.random.default_rng(0), backgrounds[0])
    assert image.shape == (*SIZE, 3) and image.dtype == np.uint8
    assert (backgrounds[0] == before).all()
