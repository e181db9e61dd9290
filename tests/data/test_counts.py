from functools import partial

from helpers import builders

from wsseg.data.annotation import Box, Boxes, Tags
from wsseg.data.counts import split_counts, split_lines
from wsseg.data.model import Classes

CLASSES = Classes(("background", "cow", "sheep"))


sample = partial(builders.sample, size=(9, 9))


def test_boxes_and_tags_are_counted_apart():
    two_cows = Boxes((Box(1, 0, 0, 2, 2), Box(1, 3, 3, 5, 5)))
    samples = [
        sample(two_cows, Tags((1,), unsure=(2,))),
        sample(Boxes(()), Tags(())),
        sample(Tags((1, 2))),
        sample(),
    ]
    counts = split_counts(samples, 3)
    assert (counts.name, counts.images, counts.annotated) == ("train", 4, 3)
    assert (counts.boxes, counts.images_with) == ((0, 2, 0), (0, 1, 0))
    assert (counts.with_tags, counts.tagged, counts.unsure) == (3, (1, 2, 1), (0, 0, 1))
    assert list(split_lines(counts, CLASSES)) == [
        "train: 4 images, 1 of them not annotated, 2 boxes, 3 tagged",
        "  cow: 2 boxes in 1 images, tagged in 2",
        "  sheep: 0 boxes in 0 images, tagged in 1 and perhaps 1",
        "  no object: tagged in 1",
    ]


def test_what_nobody_draws_is_not_counted():
    tags, boxes, nothing = (
        split_counts([sample(*annotations)], 3) for annotations in ((Tags((2,)),), (Boxes(()),), ())
    )
    assert (tags.boxes, tags.tagged) == ((), (0, 0, 1))
    assert (boxes.boxes, boxes.tagged) == ((0, 0, 0), ())
    assert (nothing.boxes, nothing.tagged) == ((0, 0, 0), ())
    assert next(iter(split_lines(tags, CLASSES))) == "train: 1 images, 1 tagged"


def test_an_image_that_may_show_something_is_not_tagged_as_empty():
    assert split_counts([sample(Tags((), unsure=(1,)))], 3).tagged == (0, 0, 0)
