import numpy as np
import pytest
import torch
from PIL import Image

from wsseg.data.annotation import Box, Boxes, Tags
from wsseg.data.constraints import constraints_of
from wsseg.data.model import Sample
from wsseg.data.strokes import Scribble, Strokes
from wsseg.images import read_image
from wsseg.networks.batches import normalize
from wsseg.networks.params import SegmenterParams, SegmenterTrainingParams
from wsseg.networks.semi.params import SemiParams
from wsseg.networks.semi.views import ViewBatches, cutmix, draw_rectangle

K = 5


@pytest.fixture
def sample(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    boxes = Boxes((Box(1, 4, 5, 20, 25), Box(3, 10, 2, 35, 18)))
    strokes = Strokes((Scribble(1, ((6.0, 8.0), (15.0, 20.0)), 3.0),))
    return Sample("a", tmp_path / "a.png", (30, 40), (boxes, strokes), "train")


def batches(samples, views=2, **changes):
    settings = {"steps": 9, "batch_size": 2, "crop": (30, 40), "zoom": (1.0, 1.0), **changes}
    trainer = SegmenterTrainingParams(**settings)
    semi = SemiParams(strong_views=views)
    return ViewBatches(samples, K, SegmenterParams(), trainer, semi, seed=0)


def test_what_is_allowed_moves_with_the_image(sample):
    constraints = constraints_of(sample, K)
    every = np.zeros((K, 30, 40), bool)
    every[constraints.classes] = constraints.allowed
    pixels = torch.from_numpy(read_image(sample.image).copy()).permute(2, 0, 1)
    upright, seen = normalize(pixels, SegmenterParams()), set()
    for step in range(4):
        weak, views = batches([sample]).batch(step)
        for image, allowed in zip(weak, views.allowed.numpy(), strict=True):
            mirrored = not torch.allclose(image, upright, atol=1e-5)
            np.testing.assert_array_equal(allowed, every[..., ::-1] if mirrored else every)
            seen.add(mirrored)
    assert seen == {False, True}


def test_padding_is_outside_and_allows_nothing_less(sample):
    _, views = batches([sample], crop=(50, 60)).batch(0)
    assert views.inside.sum(dim=(1, 2)).tolist() == [30 * 40] * 2
    assert views.allowed.any(dim=1).all()


def test_without_annotations_every_class_is_allowed(sample):
    bare = Sample("b", sample.image, sample.size, (), "train")
    assert batches([bare]).batch(0)[1].allowed.all()


def test_an_image_of_tags_alone(sample):
    tagged = Sample("c", sample.image, sample.size, (Tags((2,)),), "train")
    _, views = batches([tagged]).batch(0)
    assert views.allowed.all(dim=(0, 2, 3)).tolist() == [True, False, True, False, False]


@pytest.mark.usefixtures("plain_views")
def test_strong_views_stay_in_place(sample):
    weak, views = batches([sample]).batch(0)
    torch.testing.assert_close(views.strong, weak[:, None].expand_as(views.strong))


def test_strong_views_differ(sample):
    strong = batches([sample]).batch(0)[1].strong
    assert not torch.equal(strong[:, 0], strong[:, 1])


def test_a_batch_depends_on_its_step_only(sample):
    one, other = batches([sample], 1), batches([sample], 1)
    one.batch(0)
    torch.testing.assert_close(one.batch(3), other.batch(3), rtol=0, atol=0)


def test_a_cut_is_one_rectangle_of_the_published_sizes():
    torch.manual_seed(0)
    shares = []
    for _ in range(200):
        mask = draw_rectangle((40, 50), 1.0).numpy()
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        shares.append(mask.mean())
    assert 0.01 < min(shares) < max(shares) < 0.42
    assert not draw_rectangle((40, 50), 0.0).any()


def test_mixing_takes_the_next_image_inside_the_cut():
    values, cut = torch.arange(3.0)[:, None, None, None].expand(3, 2, 2, 2), torch.zeros(3, 2, 2)
    cut[:, 0] = 1
    found = cutmix(values, cut.bool())
    assert found[:, :, 0].unique(dim=0)[:, 0, 0].tolist() == [0, 1, 2]
    assert [found[i, 0, 0, 0].item() for i in range(3)] == [1, 2, 0]
    assert [found[i, 0, 1, 0].item() for i in range(3)] == [0, 1, 2]
