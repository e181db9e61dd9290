import importlib.metadata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsseg import plugins
from wsseg.data.constraints import Constraints, constraints_of
from wsseg.data.model import Box, Boxes, MaskFile, Sample
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map
from wsseg.seeds.named import SEEDS, check_fit, check_seeds, find_seed, seed_label_map
from wsseg.seeds.params import SeedParams

SIZE = (40, 50)
OF_STROKES = ("strokes", "random_walker", "grabcut_strokes", "superpixel_votes")
BOXES = (Box(1, 5, 4, 30, 34), Box(3, 20, 10, 44, 30), Box(1, 0, 36, 1, 37))


def sample_of(*annotations):
    return Sample("a", Path("a.png"), SIZE, annotations, "train")


def seeded(name, sample, constraints=None, image=None, **settings):
    if image is None:
        image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    chosen = SeedParams(name=name, **{"votes": 5, "votes_side": 48, **settings})
    constraints = constraints or constraints_of(sample, 4)
    return seed_label_map(image, constraints, sample, chosen, np.random.default_rng(0))


@pytest.fixture
def foreign(tmp_path):
    """A folder with a label map that does not keep to the boxes."""
    label_map = np.random.default_rng(1).choice([0, 1, 2, 3, IGNORE], SIZE).astype(np.uint8)
    write_label_map(tmp_path / "a.png", label_map)
    return tmp_path, label_map


@pytest.mark.parametrize("name", SEEDS)
def test_every_seed_keeps_to_the_annotations_and_leaves_its_inputs(name, foreign):
    sample = sample_of(Boxes(BOXES))
    constraints = constraints_of(sample, 4)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    copies = image.copy(), constraints.allowed.copy()
    label_map = seeded(name, sample, constraints, image, folder=foreign[0])
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(constraints.allowed, copies[1])
    assert label_map.dtype == np.uint8
    assert set(np.unique(label_map)) <= {0, 1, 3, IGNORE}
    assert constraints.allows(label_map).all()
    known = constraints.known
    assert (label_map[known != IGNORE] == known[known != IGNORE]).all()
    assert (label_map == 3).any() or name in OF_STROKES


@pytest.mark.parametrize("name", SEEDS)
def test_known_pixels_win_over_every_seed(name, foreign, tmp_path):
    mask = np.full(SIZE, IGNORE, np.uint8)
    mask[12:20, 22:28], mask[25, 25:30] = 1, 0
    write_label_map(tmp_path / "mask.png", mask)
    sample = sample_of(Boxes(BOXES), MaskFile(tmp_path / "mask.png"))
    label_map = seeded(name, sample, folder=foreign[0])
    assert (label_map[mask != IGNORE] == mask[mask != IGNORE]).all()


def test_what_the_boxes_forbid_becomes_background_outside_and_ignore_inside(foreign):
    folder, given = foreign
    label_map = seeded("folder", sample_of(Boxes((Box(1, 10, 10, 40, 30),))), folder=folder)
    expected = np.zeros(SIZE)
    expected[10:30, 10:40] = np.where(given <= 1, given, IGNORE)[10:30, 10:40]
    np.testing.assert_array_equal(label_map, expected)


def test_intersection_keeps_what_both_sources_agree_on(foreign):
    folder, given = foreign
    sample = sample_of(Boxes((Box(1, 5, 4, 30, 34), Box(3, 20, 10, 44, 30))))
    label_map = seeded("intersection", sample, sources=("box", "folder"), folder=folder)
    filled = seeded("box", sample)
    expected = np.where((filled == given) | (filled == 0), filled, IGNORE)
    np.testing.assert_array_equal(label_map, expected)


def test_intersection_is_the_same_in_either_order():
    sample = sample_of(Boxes(BOXES))
    one, other = (
        seeded("intersection", sample, sources=sources)
        for sources in (("box", "box_inner"), ("box_inner", "box"))
    )
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, seeded("box_inner", sample))


def test_an_intersection_of_itself_is_refused():
    with pytest.raises(InputError, match="made of seeds other than intersection and mixed"):
        seeded("intersection", sample_of(Boxes(BOXES)), sources=("box", "intersection"))


def test_folder_needs_a_folder_with_a_fitting_file(tmp_path):
    sample = sample_of(Boxes(BOXES))
    with pytest.raises(InputError, match=r"seeds\.folder must be set"):
        seeded("folder", sample)
    with pytest.raises(InputError, match=r"a\.png.*no such file"):
        seeded("folder", sample, folder=tmp_path)
    write_label_map(tmp_path / "a.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match=r"\(40, 50\), got \(3, 3\)"):
        seeded("folder", sample, folder=tmp_path)


def test_an_image_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"\(40, 50\).*got \(40, 51, 3\)"):
        seeded("box", sample_of(Boxes(BOXES)), image=np.zeros((40, 51, 3), np.uint8))


def test_constraints_of_another_size_are_refused():
    constraints = Constraints(np.array([0, 1], np.uint8), np.ones((2, 9, 9), bool))
    with pytest.raises(InputError, match=r"sample a must be .*\(9, 9\), got \(40, 50\)"):
        image = np.zeros((9, 9, 3), np.uint8)
        seeded("box", sample_of(Boxes(BOXES)), constraints, image)


def test_a_box_beyond_the_image_is_refused():
    with pytest.raises(InputError, match="inside the image"):
        seeded("box", sample_of(Boxes((Box(1, 40, 0, 51, 10),))))


def plug_in(monkeypatch, seed):
    def found(group):
        assert group == "wsseg.seeds"
        return (importlib.metadata.EntryPoint("mine", "package:seed", group),)

    monkeypatch.setattr(plugins, "entry_points", found)
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda _: seed)


def test_another_package_s_seed_passes_the_same_gate(monkeypatch):
    plug_in(monkeypatch, lambda image, *_: np.full(image.shape[:2], 3, np.uint8))
    sample = sample_of(Boxes((Box(3, 5, 5, 10, 10),)))
    label_map = seeded("mine", sample)
    np.testing.assert_array_equal(label_map, seeded("box", sample))


def test_a_plug_in_with_a_wrong_result_is_named(monkeypatch):
    plug_in(monkeypatch, lambda *_: np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"seed 'mine' .*got \(2, 2\) float64"):
        seeded("mine", sample_of(Boxes(BOXES)))


def test_an_unknown_seed_lists_the_choices(monkeypatch):
    assert find_seed("box_inner") is SEEDS["box_inner"]
    plug_in(monkeypatch, None)
    with pytest.raises(InputError, match=r"grabcut_votes, .*, folder, mixed, mine"):
        find_seed("grabcat")


def test_a_seed_of_boxes_is_refused_where_marks_would_be_left_unused():
    marked = sample_of(Strokes((Scribble(1, ((5.5, 5.5),)),)))
    boxed = replace(marked, annotations=(Boxes(BOXES), *marked.annotations))
    with pytest.raises(InputError, match=r"a seed of marks, which a has .* set seeds.name=mixed"):
        check_fit(SeedParams(name="grabcut"), [boxed, marked])
    check_fit(SeedParams(name="grabcut"), [boxed, sample_of()])
    check_fit(SeedParams(name="mixed"), [boxed, marked])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "mixed", "of_boxes": "mixed"},
        {"name": "mixed", "of_strokes": "intersection", "sources": ("box", "mixed")},
        {"name": "intersection", "sources": ("intersection", "box")},
        {"name": "folder"},
        {"name": "mixed", "of_strokes": "folder"},
        {"name": "mixed", "of_boxes": "grabcat"},
    ],
)
def test_seeds_that_could_label_no_image_are_refused_before_any_work(changes):
    with pytest.raises(InputError, match="seeds"):
        check_seeds(SeedParams(**changes))
