import numpy as np
import pytest
import torch
from torch import nn

from wsseg.data.constraints import Constraints
from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.metrics.confidence import margins, vote_entropies
from wsseg.networks.params import PredictionParams, SegmenterParams
from wsseg.networks.prediction import Segmenter
from wsseg.stages.selection.uncertainty import margin, vote_entropy

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
ONE_VIEW = PredictionParams(scales=(1.0,), flip=False)


class Fixed(nn.Module):
    """Gives every pixel the same probabilities, whatever it is shown."""

    def __init__(self, probabilities):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log())
        self.encoder = nn.Identity()

    def forward(self, images):
        return self.logits[None, :, None, None].expand(len(images), -1, *images.shape[2:])


class LeftIsOne(Fixed):
    """Class 1 on the left half, class 2 on the right: the mirror image disagrees everywhere."""

    def forward(self, images):
        right = torch.arange(images.shape[3]) >= images.shape[3] / 2
        logits = torch.stack([0 * right - 9.0, 9.0 - 18 * right, 18 * right - 9.0])
        return logits[None, :, None].expand(len(images), -1, *images.shape[2:]).contiguous()


def segmenter(network):
    settings = SegmenterParams(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Segmenter(network.eval(), Classes(("background", "cow", "cat")), settings)


def constraints(classes=(0, 1, 2), fixed=0):
    """All of these classes everywhere, but the first rows are known to be the first class."""
    allowed = np.ones((len(classes), 8, 12), bool)
    allowed[1:, :fixed] = False
    return Constraints(np.array(classes, np.uint8), allowed)


def test_margins_against_a_slow_reference():
    scores = np.random.default_rng(1).dirichlet(np.ones(4), (3, 5)).transpose(2, 0, 1)
    found = margins(scores)
    for row, column in np.ndindex(3, 5):
        first, second = sorted(scores[:, row, column])[:-3:-1]
        assert found[row, column] == pytest.approx(1 - (first - second), abs=1e-6)
    assert margins(np.ones((1, 2, 2))).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (constraints(), 1 - (0.5 - 0.3)),
        (constraints((0, 2)), 1 - (0.5 - 0.2) / 0.7),  # cow is forbidden: the rest is 5 to 2
        (constraints((0,)), 0),
        (constraints(fixed=2), 0.75 * (1 - (0.5 - 0.3))),  # a quarter of the pixels is known
        (constraints(fixed=8), 0),
    ],
)
def test_margin_counts_what_the_annotations_leave_open(known, expected):
    network = segmenter(Fixed([0.5, 0.3, 0.2]))
    assert margin(network, IMAGE, known, ONE_VIEW) == pytest.approx(expected, abs=1e-5)


def test_entropy_of_votes_in_closed_form():
    votes = [np.array([[1, 1, 0, 3]], np.uint8), np.array([[1, 2, 1, 3]], np.uint8)]
    votes += [np.array([[1, 2, 2, 4]], np.uint8), np.array([[1, 2, 3, 4]], np.uint8)]
    quarters = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / np.log(4)
    np.testing.assert_allclose(vote_entropies(votes), [[0, quarters, 1, 0.5]], atol=1e-6)


def test_views_that_disagree_are_entropy_unless_the_annotations_decide():
    network = segmenter(LeftIsOne([0.5, 0.3, 0.2]))
    mirrored = PredictionParams(scales=(1.0,), flip=True)
    assert vote_entropy(network, IMAGE, constraints(), mirrored) == pytest.approx(1)
    assert vote_entropy(network, IMAGE, constraints(fixed=4), mirrored) == pytest.approx(0.5)
    assert vote_entropy(network, IMAGE, constraints((0,)), mirrored) == 0
    agreeing = PredictionParams(scales=(0.5, 1.0), flip=False)
    assert vote_entropy(network, IMAGE, constraints(), agreeing) == 0


def test_one_view_has_no_votes():
    with pytest.raises(InputError, match="at least 2, got 1; give more --scales"):
        vote_entropy(segmenter(Fixed([0.5, 0.3, 0.2])), IMAGE, constraints(), ONE_VIEW)
