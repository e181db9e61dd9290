import math

import pytest
import torch

from wsseg.data.annotation import Box
from wsseg.networks.losses.tightness import tightness
from wsseg.networks.training_data import box_planes

SIZE = (14, 18)


def planes(*images):
    """The planes of the boxes (label, left, top, right, bottom) of two images, smaller in front."""
    drawn = [box_planes(tuple(Box(*box) for box in boxes), SIZE) for boxes in images]
    return torch.stack([torch.from_numpy(plane).long() for plane in drawn], dim=1)


def written_out(logits, *images):
    """One box, one row and one column at a time, from the corners of the boxes."""
    probabilities, best = logits.softmax(dim=1), []
    for p, boxes in zip(probabilities, images, strict=True):
        for number, (label, left, top, right, bottom) in enumerate(boxes):
            area = (right - left) * (bottom - top)
            hidden = torch.zeros(SIZE, dtype=torch.bool)
            for other, (_, x0, y0, x1, y1) in enumerate(boxes):
                if other != number and (x1 - x0) * (y1 - y0) < area:
                    hidden[y0:y1, x0:x1] = True
            if left > 0 and right < SIZE[1]:
                rows = [y for y in range(top, bottom) if not hidden[y, left:right].any()]
                best += [p[label, y, left:right].max() for y in rows]
            if top > 0 and bottom < SIZE[0]:
                columns = [x for x in range(left, right) if not hidden[top:bottom, x].any()]
                best += [p[label, top:bottom, x].max() for x in columns]
    return -torch.stack(best).log().mean() if best else logits.sum() * 0


@pytest.mark.parametrize(
    "images",
    [
        ([(1, 3, 2, 11, 9)], []),
        ([(1, 3, 2, 11, 9), (2, 8, 4, 15, 7)], [(1, 1, 1, 17, 13)]),  # one hides another
        ([(1, 3, 0, 11, 9)], [(2, 0, 2, 7, 9), (1, 2, 10, 18, 14)]),  # at the edges of the crop
        ([(2, 5, 5, 6, 6), (1, 2, 3, 16, 4)], []),  # one pixel, one row
        ([(1, 2, 3, 16, 11), (2, 1, 2, 9, 12)], []),  # the left half is hidden in every row
        ([(1, 0, 3, 14, 9), (2, 0, 2, 5, 10)], []),  # cut off behind a box in front
        ([(1, 2, 3, 12, 10), (1, 8, 5, 15, 12)], []),  # two of one class
        ([(1, 0, 0, 18, 14)], []),
        ([], []),
    ],
)
def test_it_is_the_mean_over_visible_rows_and_columns(images):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 3, *SIZE, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    found, expected = tightness(logits, *planes(*images)), written_out(logits, *images)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_one_pixel_in_each_row_and_column_is_enough():
    boxes = planes([(1, 4, 2, 10, 8)], [])
    diagonal = torch.zeros(2, 2, *SIZE, dtype=torch.float64)
    diagonal[0, 1, range(2, 8), range(4, 10)] = 40
    assert tightness(diagonal, *boxes).item() < 1e-12
    diagonal[0, 1, 4, 6] = 0  # now one row and one column of twelve are undecided
    assert tightness(diagonal, *boxes).item() == pytest.approx(2 / 12 * math.log(2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype):
    logits = torch.full((2, 2, *SIZE), -9.0).to(dtype)
    logits[:, 0] = 9
    value = tightness(logits, *planes([(1, 1, 1, 17, 13)], [(1, 1, 1, 17, 13)]))
    assert value.dtype == torch.float32 and value.item() == pytest.approx(18, abs=1e-3)
