import cv2
import numpy as np
import pytest

from wsseg.seeds.graphcut import cut_out, link_neighbours

WHOLE = np.s_[:, :]


def open_trimap(size):
    return np.full(size, cv2.GC_PR_FGD, np.uint8)


def noise_with_edge(column):
    """Noise whose colours say nothing of the sides, so that only the edge can."""
    image = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    edges = np.zeros((24, 40), np.uint8)
    edges[:, column] = 255
    trimap = np.full((24, 40), cv2.GC_PR_BGD, np.uint8)
    trimap[:, 20:] = cv2.GC_PR_FGD
    trimap[:, :4] = cv2.GC_BGD
    trimap[:, -4:] = cv2.GC_FGD
    return image, trimap, edges


def square():
    """A blue square on yellow, both noisy, its trimap, and where it is."""
    inside = np.zeros((60, 70), bool)
    inside[15:40, 20:50] = True
    colours = np.where(inside[..., None], (40, 60, 190), (190, 170, 60))
    noise = np.random.default_rng(0).normal(0, 25, colours.shape)
    trimap = np.full(inside.shape, cv2.GC_BGD, np.uint8)
    trimap[8:50, 12:60] = cv2.GC_PR_FGD
    return (colours + noise).clip(0, 255).astype(np.uint8), trimap, inside


def test_links_join_the_eight_neighbours_both_ways():
    grid = link_neighbours(np.zeros((3, 4, 3), np.uint8), open_trimap((3, 4)), WHOLE)
    straight, diagonal = 5000, round(5000 / 2**0.5)
    expected = [diagonal, straight, diagonal, straight] * 2
    np.testing.assert_array_equal(grid.links[2, 2], expected[:4] + expected[3::-1])
    assert (grid.links[1, 1] > 0).tolist() == [False] * 4 + [True, False, True, True]
    assert not grid.links[[0, -1]].any()
    assert not grid.links[:, [0, -1]].any()
    assert not grid.terms.any()


def test_links_follow_the_formula_of_the_paper():
    image = np.random.default_rng(0).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    grid = link_neighbours(image, open_trimap((2, 2)), WHOLE)
    a, b, c, d = image.reshape(4, 3).astype(float)
    squares = np.array(
        [((p - q) ** 2).sum() for p, q in ((a, b), (a, c), (a, d), (b, d), (c, d), (b, c))]
    )
    expected = 5000 * np.exp(-squares / (2 * squares.mean()))
    expected[[2, 5]] /= 2**0.5
    found = [
        *grid.links[1, 1, [4, 6, 7]],
        grid.links[1, 2, 6],
        grid.links[2, 1, 4],
        grid.links[1, 2, 5],
    ]
    np.testing.assert_allclose(found, expected, atol=0.51)
    assert grid.links[2, 2, 0] == found[2]
    assert grid.links[2, 1, 2] == found[5]


def test_an_edge_between_pixels_is_the_stronger_of_theirs():
    edges = np.array([[10, 200]], np.uint8)
    grid = link_neighbours(np.zeros((1, 2, 3), np.uint8), open_trimap((1, 2)), WHOLE, edges)
    assert grid.links[1, 1, 4] == round(5000 * np.exp(-0.5))


def test_links_to_certain_pixels_become_terms():
    trimap = np.array([[cv2.GC_FGD, cv2.GC_PR_BGD, cv2.GC_PR_FGD, cv2.GC_BGD]], np.uint8)
    grid = link_neighbours(np.zeros((1, 4, 3), np.uint8), trimap, WHOLE)
    np.testing.assert_array_equal(grid.terms[1], [0, 0, 5000, -5000, 0, 0])
    np.testing.assert_array_equal(grid.links[1, :, 4], [0, 0, 5000, 0, 0, 0])


@pytest.mark.parametrize("column", [14, 20, 26])
def test_the_boundary_lies_on_the_edge(column):
    image, trimap, edges = noise_with_edge(column)
    starts = cut_out(image, trimap, 1, edges).argmax(axis=1)
    assert (abs(starts - column) <= 1).all()


def test_certain_pixels_stay_and_inputs_are_unchanged():
    arrays = noise_with_edge(20)
    copies = [array.copy() for array in arrays]
    image, trimap, edges = arrays
    foreground = cut_out(image, trimap, 5, edges)
    assert not foreground[:, :4].any()
    assert foreground[:, -4:].all()
    for now, before in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(now, before)


def test_one_colour_is_no_division_by_zero():
    trimap = open_trimap((6, 6))
    trimap[0] = cv2.GC_BGD
    for edges in (None, np.zeros((6, 6), np.uint8)):
        foreground = cut_out(np.full((6, 6, 3), 7, np.uint8), trimap, 5, edges)
        assert not foreground[0].any()


def test_two_pixels_suffice():
    image = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    trimap = np.array([[cv2.GC_BGD, cv2.GC_PR_FGD]], np.uint8)
    assert cut_out(image, trimap, 5).tolist() == [[False, True]]


def test_the_result_is_that_of_opencv():
    image, trimap, inside = square()
    cv2.setRNGSeed(0)
    theirs, models = trimap.copy(), (np.zeros((1, 65)), np.zeros((1, 65)))
    bgr = np.ascontiguousarray(image[..., ::-1])
    cv2.grabCut(bgr, theirs, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    ours = cut_out(image, trimap, 5)
    assert (ours == (theirs & 1)).mean() > 0.995
    assert (ours == inside).mean() > 0.99


@pytest.mark.parametrize("flip", [np.fliplr, np.flipud])
def test_a_mirrored_image_has_the_mirrored_object(flip):
    image, trimap, _ = square()
    mirrored = cut_out(np.ascontiguousarray(flip(image)), np.ascontiguousarray(flip(trimap)), 5)
    assert (mirrored == flip(cut_out(image, trimap, 5))).mean() > 0.999
