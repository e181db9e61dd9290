import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from wsseg.data.annotation import Boxes, Tags
from wsseg.data.constraints import label_map_of
from wsseg.data.strokes import Strokes, default_width, stroke_map
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.synthetic.annotator import (
    DRAW,
    annotate,
    draw_blocks,
    draw_boxes,
    draw_extremes,
    draw_points,
    draw_scribbles,
    draw_tags,
    find_objects,
)
from wsseg.synthetic.drawing import Shape, _Canvas, draw_click, draw_line
from wsseg.synthetic.params import KINDS, AnnotatorParams
from wsseg.synthetic.scenes import generate_scene

EVERYTHING = ("tags", "boxes", "points", "scribbles")


def scribbles(objects, rng, length=1.0):
    return draw_scribbles(objects, AnnotatorParams(length=length), rng)


def points(objects, rng, per="object", background=1):
    params = AnnotatorParams(points_per=per, background_points=background)
    return draw_points(objects, params, rng)


def boxes(objects, rng, jitter=0.0):
    return draw_boxes(objects, AnnotatorParams(jitter=jitter), rng)


def extremes(objects):
    return draw_extremes(objects, AnnotatorParams(jitter=0.3), random())


def blocks(objects, rng, count, side):
    return draw_blocks(objects, AnnotatorParams(blocks=count, block_side=side), rng)


def random(seed=0):
    return np.random.default_rng(seed)


def scenes(count=6):
    return [generate_scene(random(seed), (72 + 8 * seed, 120))[1] for seed in range(count)]


def off_class(strokes, label_map):
    """Painted pixels of a class that is not theirs, strokes taken one by one."""
    size = label_map.shape
    return sum(
        int(((painted != IGNORE) & (painted != label_map)).sum())
        for painted in (stroke_map(Strokes((stroke,)), size) for stroke in strokes.items)
    )


def painted(strokes, size):
    return int((stroke_map(strokes, size) != IGNORE).sum())


def square(top=10, left=20, side=20, label=3, size=(60, 80)):
    label_map = np.zeros(size, np.uint8)
    label_map[top : top + side, left : left + side] = label
    return label_map


@st.composite
def blobs(draw):
    """Label maps of blocks of 1 to 9 pixels, so from single pixels and thin lines to wide areas."""
    labels = st.sampled_from([0, 0, 1, 2, IGNORE])
    coarse = draw(arrays(np.uint8, draw(st.tuples(*[st.integers(1, 9)] * 2)), elements=labels))
    return np.kron(coarse, np.ones((draw(st.integers(1, 9)), draw(st.integers(1, 9))), np.uint8))


@given(label_map=blobs(), seed=st.integers(0, 5), length=st.sampled_from([0.01, 0.1, 0.5, 1.0]))
@settings(deadline=None)
def test_no_stroke_leaves_its_class(label_map, seed, length):
    objects = find_objects(label_map)
    assert off_class(scribbles(objects, random(seed), length), label_map) == 0
    assert off_class(points(objects, random(seed), background=2), label_map) == 0


@pytest.mark.parametrize("length", [0.1, 0.5, 1.0])
def test_no_stroke_leaves_its_class_on_scenes(length):
    for seed, label_map in enumerate(scenes()):
        label_map[:4] = IGNORE
        drawn = scribbles(find_objects(label_map), random(seed), length)
        assert drawn.items and off_class(drawn, label_map) == 0


@pytest.mark.parametrize(
    ("window", "label"),
    [
        ((slice(30, 31), slice(40, 41)), 1),
        ((slice(0, 1), slice(0, 1)), 0),
        ((slice(30, 31), slice(5, 70)), 1),
        ((slice(0, 60), slice(79, 80)), 2),
        ((slice(0, 60), slice(0, 80)), 2),
        ((slice(0, 2), slice(0, 2)), 5),
    ],
    ids=["pixel", "background pixel", "thin line", "border line", "whole image", "corner"],
)
def test_whatever_the_shape_there_is_a_mark_in_it(window, label):
    label_map = np.full((60, 80), 9, np.uint8)
    label_map[window] = label
    for drawn in (
        scribbles(find_objects(label_map), random()),
        points(find_objects(label_map), random()),
    ):
        assert label in {stroke.label for stroke in drawn.items}
        assert off_class(drawn, label_map) == 0


def test_a_diagonal_of_single_pixels_gets_one_line():
    label_map = np.zeros((50, 50), np.uint8)
    label_map[np.arange(5, 45), np.arange(5, 45)] = 4
    (line,) = [s for s in scribbles(find_objects(label_map), random()).items if s.label == 4]
    assert line.width == 1 and len(line.points) > 1
    assert painted(Strokes((line,)), (50, 50)) >= 30


def test_lines_follow_long_shapes_from_end_to_end():
    label_map = np.zeros((100, 200), np.uint8)
    label_map[20:40, 10:190] = label_map[20:90, 170:190] = 1  # an angle
    (line,) = [s for s in scribbles(find_objects(label_map), random()).items if s.label == 1]
    xs, ys = np.array(line.points).T
    assert xs.min() < 50 and ys.max() > 55
    assert line.width is None
    assert len(line.points) < 25


def test_a_disc_gets_a_line_through_its_middle():
    rows, columns = np.mgrid[:120, :160]
    disc = (np.hypot(rows - 60, columns - 80) < 40).astype(np.uint8)
    (line,) = [s for s in scribbles(find_objects(disc), random()).items if s.label == 1]
    assert np.hypot(*np.subtract(line.points[-1], line.points[0])) > 30


def test_shorter_scribbles_are_parts_of_longer_ones():
    for seed, label_map in enumerate(scenes()):
        found = [
            scribbles(find_objects(label_map), random(seed), length).items
            for length in (0.05, 0.1, 0.3, 0.5, 0.8, 1.0)
        ]
        for strokes in zip(*found, strict=True):
            maps = [stroke_map(Strokes((stroke,)), label_map.shape) != IGNORE for stroke in strokes]
            areas = [int(drawn.sum()) for drawn in maps]
            assert areas == sorted(areas)
            assert all((drawn & ~maps[-1]).sum() <= 1 for drawn in maps)  # coordinates are rounded


def test_the_share_of_the_length_is_kept():
    label_map = np.zeros((60, 400), np.uint8)
    label_map[20:40, 20:380] = 1
    whole, half, tenth = (
        next(s for s in scribbles(find_objects(label_map), random(3), share).items if s.label == 1)
        for share in (1.0, 0.5, 0.1)
    )
    long, middle, short = (
        np.hypot(*np.diff(np.array(line.points), axis=0).T).sum() for line in (whole, half, tenth)
    )
    assert middle == pytest.approx(long / 2, abs=2)
    assert short == pytest.approx(long / 10, abs=2)


def test_a_shape_too_small_for_a_line_is_clicked():
    drawn = scribbles(find_objects(square(side=4)), random()).items
    assert [len(stroke.points) for stroke in drawn if stroke.label == 3] == [1]


@pytest.mark.parametrize("per", ["object", "class"])
def test_points_are_one_an_object_or_class_and_some_on_the_background(per):
    label_map = square()
    label_map[35:40, 60:65] = 3
    label_map[50:58, 5:13] = 1
    labels = [s.label for s in points(find_objects(label_map), random(), per, background=2).items]
    assert sorted(labels) == ([0, 0, 1, 3, 3] if per == "object" else [0, 0, 1, 3])
    if per == "class":
        (click,) = [s for s in points(find_objects(label_map), random(), per).items if s.label == 3]
        assert 20 <= click.points[0][0] < 40  # in the larger one


def test_clicks_are_well_inside_and_differ_by_seed():
    shape = Shape(1, (100, 50), np.ones((41, 41), bool))
    clicks = [draw_click(shape, 3.0, random(seed)).points[0] for seed in range(30)]
    for x, y in clicks:
        assert min(x - 50, 91 - x, y - 100, 141 - y) >= 0.6 * 20
    assert len(set(clicks)) > 10


def test_background_clicks_are_far_from_objects():
    label_map = square(0, 0, 60, size=(60, 200))
    xs = [
        next(s for s in points(find_objects(label_map), random(seed)).items if s.label == 0).points[
            0
        ][0]
        for seed in range(10)
    ]
    assert min(xs) > 75


def test_boxes_without_jitter_are_tight_and_those_of_extreme_clicks_always_are():
    for label_map in scenes():
        objects = find_objects(label_map)
        drawn = boxes(objects, random())
        assert drawn == extremes(objects)
        for box, shape in zip(drawn.items, objects.objects, strict=True):
            inside = np.zeros(label_map.shape, bool)
            inside[box.slices] = True
            rows, columns = np.nonzero(shape.mask)
            assert {rows.min(), columns.min()} == {0}
            assert (rows.max() + 1, columns.max() + 1) == shape.mask.shape
            assert (label_map[box.slices][shape.mask] == box.label).all()


@given(
    place=st.tuples(*[st.integers(0, 39)] * 2),
    side=st.integers(1, 40),
    jitter=st.floats(0, 0.49),
    seed=st.integers(0, 9),
)
def test_jittered_boxes_are_near_the_tight_ones_and_inside_the_image(place, side, jitter, seed):
    label_map = square(*place, side, size=(40, 40))
    (tight,) = extremes(find_objects(label_map)).items
    (moved,) = boxes(find_objects(label_map), random(seed), jitter).items
    assert 0 <= moved.left < moved.right <= 40 and 0 <= moved.top < moved.bottom <= 40
    for edge, side_of in (("left", 1), ("right", 1), ("top", 0), ("bottom", 0)):
        length = find_objects(label_map).objects[0].mask.shape[side_of]
        assert abs(getattr(moved, edge) - getattr(tight, edge)) <= max(jitter * length + 0.5, 1)


def test_jitter_moves_edges():
    label_map = square(20, 30, 40, size=(100, 120))
    found = {boxes(find_objects(label_map), random(seed), 0.2).items[0] for seed in range(10)}
    assert len(found) > 5


def test_instances_tell_touching_objects_apart():
    label_map, instances = square(side=20), np.zeros((60, 80), int)
    instances[10:30, 20:30], instances[10:30, 30:40] = 1, 2
    assert len(find_objects(label_map).objects) == 1
    found = extremes(find_objects(label_map, instances)).items
    assert [(box.left, box.right) for box in found] == [(20, 30), (30, 40)]


def test_small_objects_are_overlooked_by_every_kind():
    label_map = square(side=2)
    objects = find_objects(label_map, min_area=5)
    assert draw_tags(objects, AnnotatorParams(), random()) == Tags(()) and boxes(
        objects, random()
    ) == Boxes(())
    assert {s.label for s in scribbles(objects, random()).items} == {0}


def test_blocks_are_true_pixels_of_squares():
    label_map = scenes(1)[0]
    label_map[:, :10] = IGNORE
    drawn = blocks(find_objects(label_map), random(), count=3, side=0.1)
    known = label_map_of(drawn, label_map.shape, 6)
    on = known != IGNORE
    assert drawn.partial and not drawn.closed
    assert on.any() and (known[on] == label_map[on]).all()
    assert on.sum() <= 3 * 12**2
    whole = blocks(find_objects(label_map), random(), count=1, side=1.0)
    assert (label_map_of(whole, label_map.shape, 6) == label_map).all()


def test_an_image_without_known_pixels_gets_nothing():
    objects = find_objects(np.full((20, 30), IGNORE, np.uint8))
    assert all(annotate(objects, [kind], AnnotatorParams(), (0,)) == () for kind in KINDS)


@pytest.mark.parametrize("kind", ["tags", "boxes", "extremes"])
def test_an_image_without_objects_is_tagged_so(kind):
    objects = find_objects(np.zeros((20, 30), np.uint8))
    assert annotate(objects, [kind], AnnotatorParams(), (0,)) == (Tags(()),)


def test_kinds_of_an_image_do_not_change_each_other():
    objects, params = find_objects(scenes(1)[0]), AnnotatorParams(jitter=0.1)
    (alone,) = annotate(objects, ["boxes"], params, (1, 2))
    both = annotate(objects, ["boxes", "points"], params, (1, 2))
    assert alone in both and len(both) == 2
    assert annotate(objects, ["points", "boxes"], params, (1, 2)) == both


@pytest.mark.parametrize("kind", [*KINDS])
def test_the_seed_decides(kind):
    objects, params = find_objects(scenes(1)[0]), AnnotatorParams(jitter=0.2)
    assert annotate(objects, [kind], params, (1,)) == annotate(objects, [kind], params, (1,))
    if kind not in {"tags", "extremes"}:
        assert annotate(objects, [kind], params, (1,)) != annotate(objects, [kind], params, (2,))


def test_marks_of_any_mix_are_consistent_with_the_truth():
    for label_map in scenes():
        annotations = annotate(find_objects(label_map), EVERYTHING, AnnotatorParams(), (0,))
        kinds = [type(drawn) for drawn in annotations]
        assert kinds == [Tags, Boxes, Strokes]
        present = {*annotations[0].present}
        assert present == {*np.unique(label_map).tolist()} - {0}
        assert {box.label for box in annotations[1].items} == present
        assert {stroke.label for stroke in annotations[2].items} == present | {0}


def test_label_maps_stay_as_they_are():
    label_map = scenes(1)[0]
    before = label_map.copy()
    annotate(find_objects(label_map), [*KINDS], AnnotatorParams(), (0,))
    assert (label_map == before).all()


def test_width_of_its_own_only_where_the_default_would_spill():
    wide = Shape(1, (0, 0), np.ones((30, 60), bool))
    thin = Shape(1, (0, 0), np.ones((3, 60), bool))
    width = default_width((400, 1000))
    assert draw_line(wide, width, 1.0, random()).width is None
    assert 1 <= draw_line(thin, width, 1.0, random()).width < width
    assert 1 <= draw_click(thin, width, random()).width < width


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("length", 0),
        ("length", 1.5),
        ("jitter", 0.5),
        ("jitter", -0.1),
        ("background_points", -1),
        ("points_per", "image"),
        ("min_area", 0),
        ("blocks", 0),
        ("block_side", 0),
    ],
)
def test_parameters_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        AnnotatorParams(**{name: value})


def test_depths_are_exact_whatever_the_alignment_of_memory():
    mask = np.pad(scenes(1)[0] > 0, 1)
    exact = ndimage.distance_transform_edt(np.pad(mask, 6)).astype(np.float32)
    for offset in range(4):
        buffer = np.zeros(mask.size + offset, bool)[offset:].reshape(mask.shape)
        buffer[:] = mask
        assert (_Canvas(Shape(1, (0, 0), buffer), 4.0).depth == exact).all()


def test_every_kind_has_a_function():
    assert tuple(DRAW) == KINDS
