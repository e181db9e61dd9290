import math

import pytest
import torch

from wsseg.networks.losses.tightness import tightness

SIZE = (14, 18)


def planes(*boxes, size=SIZE):
    """The numbers and classes of boxes (image, label, top, bottom, left, right), later in front."""
    numbers, labels = torch.zeros(2, 2, *size, dtype=torch.int64)
    for image, label, top, bottom, left, right in boxes:
        numbers[image, top:bottom, left:right] = 1 + int(numbers[image].max())
        labels[image, top:bottom, left:right] = label
    return numbers, labels


def written_out(logits, numbers, labels):
    """One box, one row and one column at a time."""
    probabilities, best = logits.softmax(dim=1), []
    for image in range(len(logits)):
        for turned in (False, True):
            box_of = numbers[image].T if turned else numbers[image]
            label_of = labels[image].T if turned else labels[image]
            p = probabilities[image].mT if turned else probabilities[image]
            for number in range(1, int(box_of.max()) + 1):
                columns = (box_of == number).any(dim=0).nonzero().flatten().tolist()
                if not columns or columns[0] == 0 or columns[-1] == box_of.shape[1] - 1:
                    continue
                for y in range(len(box_of)):
                    row = (box_of[y] == number).nonzero().flatten().tolist()
                    if row and row == list(range(columns[0], columns[-1] + 1)):
                        best.append(max(p[label_of[y, x], y, x] for x in row))
    return -torch.stack(best).log().mean() if best else logits.sum() * 0


@pytest.mark.parametrize(
    "boxes",
    [
        [(0, 1, 2, 9, 3, 11)],
        [(0, 1, 2, 9, 3, 11), (0, 2, 4, 7, 8, 15), (1, 1, 1, 13, 1, 17)],  # one hides another
        [(0, 1, 0, 9, 3, 11), (1, 2, 2, 9, 0, 7), (1, 1, 10, 14, 2, 18)],  # cut off by the crop
        [(0, 2, 5, 6, 5, 6), (1, 1, 3, 4, 2, 16)],  # one pixel, one row
        [(0, 1, 0, 14, 0, 18)],
        [],
    ],
)
def test_it_is_the_mean_over_complete_rows_and_columns(boxes):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 3, *SIZE, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    numbers, labels = planes(*boxes)
    found, expected = tightness(logits, numbers, labels), written_out(logits, numbers, labels)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_one_pixel_in_each_row_and_column_is_enough():
    numbers, labels = planes((0, 1, 2, 8, 4, 10))
    diagonal = torch.full((2, 2, *SIZE), 0.0, dtype=torch.float64)
    diagonal[0, 1, range(2, 8), range(4, 10)] = 40
    assert tightness(diagonal, numbers, labels).item() < 1e-12
    diagonal[0, 1, 4, 6] = 0  # now one row and one column of twelve are undecided
    value = tightness(diagonal, numbers, labels).item()
    assert value == pytest.approx(2 / 12 * math.log(2))
