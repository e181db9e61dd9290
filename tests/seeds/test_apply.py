import pickle

import numpy as np
import pytest
from helpers.examples import example_from
from helpers.plugged import plug_in
from helpers.sam import write_tiny_sam
from PIL import Image
from pydantic import Field

from wsseg.data.annotation import Box, Boxes, MaskFile, Tags
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map
from wsseg.params import Params
from wsseg.seeds.apply import COMBINATIONS, SEEDS, find_seed
from wsseg.seeds.params import SeedParams

SIZE = (40, 50)
OF_STROKES = ("strokes", "random_walker", "dino_walker", "grabcut_strokes", "superpixel_votes")
BOXES = (Box(1, 5, 4, 30, 34), Box(3, 20, 10, 44, 30), Box(1, 0, 36, 1, 37))


@pytest.fixture(autouse=True, scope="module")
def few_votes():
    """Few votes of "grabcut_votes", to be quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsseg.seeds.grabcut._VOTES", 5)
        yield


def seeded(name, *annotations, constraints=None, image=None, **settings):
    if image is None:
        image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    seed = find_seed(SeedParams(name=name, **settings))
    example = example_from(image, *annotations, constraints=constraints, n_classes=4)
    return seed(example, np.random.default_rng(0))


@pytest.fixture
def foreign(tmp_path):
    """A folder with a label map that does not keep to the boxes."""
    label_map = np.random.default_rng(1).choice([0, 1, 2, 3, IGNORE], SIZE).astype(np.uint8)
    write_label_map(tmp_path / "a.png", label_map)
    return tmp_path, label_map


@pytest.fixture
def model(request):
    """The settings of the model of a seed that has one."""
    name = request.node.callspec.params["name"]
    if name == "dino_walker":
        return {"dino": {"model": str(request.getfixturevalue("dino_folder"))}}
    if name == "sam":
        pytest.importorskip("transformers")
        folder = request.getfixturevalue("tmp_path") / "sam"
        write_tiny_sam(folder)
        return {"sam": {"model": str(folder)}}
    return {}


@pytest.mark.parametrize("name", [*SEEDS, *COMBINATIONS])
def test_every_seed_keeps_to_the_annotations_and_leaves_its_inputs(name, foreign, model):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    constraints = example_from(image, Boxes(BOXES), n_classes=4).constraints
    copies = image.copy(), constraints.allowed.copy()
    given = {"constraints": constraints, "image": image}
    label_map = seeded(name, Boxes(BOXES), **given, folder=foreign[0], **model)
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(constraints.allowed, copies[1])
    assert label_map.dtype == np.uint8
    assert set(np.unique(label_map)) <= {0, 1, 3, IGNORE}
    assert constraints.allows(label_map).all()
    known = constraints.known
    assert (label_map[known != IGNORE] == known[known != IGNORE]).all()
    assert (label_map == 3).any() or name in OF_STROKES


@pytest.mark.parametrize("name", [*SEEDS, *COMBINATIONS])
def test_known_pixels_win_over_every_seed(name, foreign, tmp_path, model):
    mask = np.full(SIZE, IGNORE, np.uint8)
    mask[12:20, 22:28], mask[25, 25:30] = 1, 0
    write_label_map(tmp_path / "mask.png", mask)
    annotations = Boxes(BOXES), MaskFile(tmp_path / "mask.png")
    label_map = seeded(name, *annotations, folder=foreign[0], **model)
    assert (label_map[mask != IGNORE] == mask[mask != IGNORE]).all()


def test_what_the_boxes_forbid_becomes_background_outside_and_ignore_inside(foreign):
    folder, given = foreign
    label_map = seeded("folder", Boxes((Box(1, 10, 10, 40, 30),)), folder=folder)
    expected = np.zeros(SIZE)
    expected[10:30, 10:40] = np.where(given <= 1, given, IGNORE)[10:30, 10:40]
    np.testing.assert_array_equal(label_map, expected)


def test_intersection_keeps_what_both_sources_agree_on(foreign):
    folder, given = foreign
    sample = Boxes((Box(1, 5, 4, 30, 34), Box(3, 20, 10, 44, 30)))
    label_map = seeded("intersection", sample, sources=("box", "folder"), folder=folder)
    filled = seeded("box", sample)
    expected = np.where((filled == given) | (filled == 0), filled, IGNORE)
    np.testing.assert_array_equal(label_map, expected)


def test_intersection_is_the_same_in_either_order():
    sample = Boxes(BOXES)
    one, other = (
        seeded("intersection", sample, sources=sources)
        for sources in (("box", "box_inner"), ("box_inner", "box"))
    )
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, seeded("box_inner", sample))


def test_an_intersection_of_itself_is_refused():
    with pytest.raises(InputError, match="a seed other than intersection and auto"):
        seeded("intersection", Boxes(BOXES), sources=("box", "intersection"))


def test_folder_needs_a_folder_with_a_fitting_file(tmp_path):
    sample = Boxes(BOXES)
    with pytest.raises(InputError, match=r"seeds\.folder must be set"):
        seeded("folder", sample)
    with pytest.raises(InputError, match=r"a\.png.*no such file"):
        seeded("folder", sample, folder=tmp_path)
    write_label_map(tmp_path / "a.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match=r"\(40, 50\), got \(3, 3\)"):
        seeded("folder", sample, folder=tmp_path)


def test_a_box_beyond_the_image_is_refused():
    with pytest.raises(InputError, match="inside the image"):
        seeded("box", Boxes((Box(1, 40, 0, 51, 10),)))


def test_another_package_s_seed_passes_the_same_gate(monkeypatch):
    plug_in(monkeypatch, "wsseg.seeds", lambda example: np.full(example.sample.size, 3, np.uint8))
    boxes = Boxes((Box(3, 5, 5, 10, 10),))
    np.testing.assert_array_equal(seeded("mine", boxes), seeded("box", boxes))


class Share(Params):
    share: float = Field(0.5, gt=0)


def chosen(example, rng, params: Share):
    return (rng.random(example.sample.size) < params.share).astype(np.uint8)


def test_a_plug_in_receives_what_it_names_with_parameters_of_its_own(monkeypatch):
    plug_in(monkeypatch, "wsseg.seeds", chosen)
    label_map = seeded("mine", plugins={"mine": {"share": 0.2}})
    expected = np.random.default_rng(0).random(SIZE) < 0.2
    np.testing.assert_array_equal(label_map, expected)
    expected = np.random.default_rng(0).random(SIZE) < 0.5
    np.testing.assert_array_equal(seeded("mine"), expected)
    with pytest.raises(InputError, match="share in Share must be greater than 0, got 0"):
        seeded("mine", plugins={"mine": {"share": 0}})
    with pytest.raises(InputError, match="Share has an unknown key size"):
        seeded("mine", plugins={"mine": {"size": 1}})


def test_parameters_of_a_plug_in_need_a_class(monkeypatch):
    plug_in(monkeypatch, "wsseg.seeds", lambda example: example)
    with pytest.raises(InputError, match=r"seeds\.plugins\.mine is set, but .* no parameters"):
        seeded("mine", plugins={"mine": {"share": 1}})
    plug_in(monkeypatch, "wsseg.seeds", lambda example, params: (example, params))
    with pytest.raises(InputError, match="`params` of the seed 'mine' is not annotated"):
        seeded("mine")


def test_a_plug_in_with_a_wrong_result_is_named(monkeypatch):
    plug_in(monkeypatch, "wsseg.seeds", lambda *_: np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"seed 'mine' .*got \(2, 2\) float64"):
        seeded("mine", Boxes(BOXES))


def test_an_unknown_seed_lists_the_choices(monkeypatch):
    assert find_seed(SeedParams(name="box_inner")).function is SEEDS["box_inner"]
    plug_in(monkeypatch, "wsseg.seeds", None)
    with pytest.raises(InputError, match=r"auto, intersection, folder, .*grabcut_votes, .*, mine"):
        find_seed(SeedParams(name="grabcat"))


def test_a_seed_can_be_sent_to_other_processes():
    for name in ("auto", "intersection", "superpixel_votes"):
        seed = find_seed(SeedParams(name=name))
        assert pickle.loads(pickle.dumps(seed)) == seed


@pytest.mark.parametrize(
    "changes",
    [
        {"boxes": "auto"},
        {"strokes": "intersection", "sources": ("box", "auto")},
        {"name": "intersection", "sources": ("intersection", "box")},
        {"name": "folder"},
        {"strokes": "folder"},
        {"boxes": "grabcat"},
    ],
)
def test_seeds_that_could_label_no_image_are_refused_before_any_work(changes):
    with pytest.raises(InputError, match="seeds"):
        find_seed(SeedParams(**changes))


@pytest.mark.parametrize(
    ("values", "mode", "annotation", "refused"),
    [
        ([0, IGNORE], "L", Boxes(BOXES), True),
        ([IGNORE], "L", Tags((1,)), True),
        ([0], "L", Boxes(BOXES), False),
        ([0, IGNORE], "L", Boxes(()), False),
        ([0, 1, IGNORE], "L", Boxes(BOXES), False),
        ([0, IGNORE], "P", Boxes(BOXES), False),  # as this program writes unsure boxes
    ],
)
def test_black_and_white_masks_in_a_folder_are_refused(tmp_path, values, mode, annotation, refused):
    pixels = np.resize(np.array(values, np.uint8), SIZE)
    image = Image.fromarray(pixels)
    if mode == "P":
        image.putpalette(bytes(768))
    image.save(tmp_path / "a.png")
    if not refused:
        seeded("folder", annotation, folder=tmp_path)
        return
    with pytest.raises(InputError, match="0/255 confusion: holds only") as error:
        seeded("folder", annotation, folder=tmp_path)
    assert error.value.remedy == "write the object's class number"
    assert str(tmp_path / "a.png") in str(error.value)
