import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from helpers.builders import write
from helpers.running import wsseg
from PIL import Image

from wsseg.data.annotation import Boxes, MaskFile, Regions, Tags
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.data.strokes import Strokes, stroke_map
from wsseg.data.truth import read_truth
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map
from wsseg.synthetic.params import SimulationParams, read_kinds, read_mix
from wsseg.synthetic.scenes import write_scenes
from wsseg.synthetic.simulate import assign, simulate_dataset

MIX = "boxes=0.3,scribbles=0.2,boxes+points=0.1,tags=0.1,masks=0.1,blocks=0.1,nothing=0.1"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "scenes"
    write_scenes(root, train=10, val=1, seed=3, sides=(64, 80))
    return root


def simulated(root, out, mix=MIX, workers=1, **params):
    return simulate_dataset(root, out, SimulationParams(mix=mix, workers=workers, **params))


def laid_over(root, file):
    settings = DataParams(root=root, format="voc", weak="none", annotations=(file,), val=None)
    return read_weak(settings)


def test_what_is_written_is_read_again(scenes, tmp_path):
    out = tmp_path / "mixed.jsonl"
    done = simulated(scenes, out, jitter=0.1, length=0.5)
    read = laid_over(scenes, out)
    assert read.problems == ()
    assert read.samples == done.samples
    assert {type(a) for s in read.samples for a in s.annotations} == {
        *(Tags, Boxes, Strokes, Regions, MaskFile)
    }


def test_the_file_is_a_data_set_beside_its_images(scenes, tmp_path):
    shutil.copytree(scenes / "JPEGImages", tmp_path / "images")
    done = simulated(scenes, tmp_path / "train.jsonl")
    read = read_dataset(tmp_path, "jsonl", ["train"], use="all")
    assert read.classes == read_truth(scenes).classes and read.problems == ()
    for one, other in zip(read.samples, done.samples, strict=True):
        assert replace(one, image=other.image) == other


def test_masks_are_the_truth(scenes, tmp_path):
    done = simulated(scenes, tmp_path / "few.jsonl", "masks=0.4,nothing=0.6")
    truth = read_truth(scenes, splits=["train"])
    given = [sample for sample in done.samples if sample.annotations]
    assert len(given) == 4
    for sample in given:
        (mask,) = sample.annotations
        assert mask.path == tmp_path / "few_masks" / f"{sample.id}.png"
        assert (read_label_map(mask.path) == truth.label_map(sample)).all()


def test_the_same_seed_gives_the_same_file_whatever_the_workers(scenes, tmp_path):
    for name, options in (("one", {}), ("two", {"workers": 2}), ("other", {"seed": 1})):
        simulated(scenes, tmp_path / f"{name}.jsonl", MIX.replace("masks", "extremes"), **options)
    one, two, other = (
        (tmp_path / f"{name}.jsonl").read_bytes() for name in ("one", "two", "other")
    )
    assert one == two != other


def test_the_order_of_the_images_does_not_matter(scenes, tmp_path):
    simulated(scenes, tmp_path / "one.jsonl")
    listed = scenes / "ImageSets" / "Segmentation" / "train.txt"
    before = listed.read_text()
    try:
        listed.write_text("".join(f"{line}\n" for line in reversed(before.splitlines())))
        simulated(scenes, tmp_path / "sub" / "one.jsonl")
    finally:
        listed.write_text(before)
    one, other = ((tmp_path / place / "one.jsonl").read_bytes() for place in (".", "sub"))
    assert one == other


def test_an_image_is_drawn_alike_in_a_mix_and_alone(scenes, tmp_path):
    mixed = simulated(scenes, tmp_path / "mixed.jsonl", "scribbles=0.5,nothing=0.5").samples
    alone = simulated(scenes, tmp_path / "alone.jsonl", "scribbles=1").samples
    pairs = [(m, a) for m, a in zip(mixed, alone, strict=True) if m.annotations]
    assert len(pairs) == 5 and all(one == other for one, other in pairs)


@pytest.mark.parametrize("count", [0, 1, 7, 20, 273])
def test_shares_are_exact_up_to_rounding(count):
    mix = read_mix("boxes=0.3,scribbles=0.25,points=0.25,tags=0.1,masks=0.05,nothing=0.05")
    ids = [f"{number}" for number in range(count)]
    chosen = assign(ids, mix, seed=0)
    assert chosen.keys() == {*ids}
    found = Counter(chosen.values())
    assert all(abs(found[kinds] - share * count) < 1 for kinds, share in mix.items())
    assert assign(ids[::-1], mix, seed=0) == chosen
    if count > 20:
        assert assign(ids, mix, seed=1) != chosen


def test_objects_of_polygons_are_separated(tmp_path):
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(folder / "images" / "a.png")
    lines = [
        '{"classes": ["background", "cow"]}',
        '{"image": "a.png", "size": [30, 40], "marks": ['
        '{"type": "polygon", "class": "cow", "points": [[5, 5], [20, 5], [20, 25], [5, 25]]},'
        '{"type": "polygon", "class": "cow", "points": [[20, 5], [35, 5], [35, 25], [20, 25]]}]}',
    ]
    (folder / "train.jsonl").write_text("\n".join(lines))
    (sample,) = simulated(folder, tmp_path / "boxes.jsonl", "extremes=1").samples
    assert [(box.left, box.right) for box in sample.boxes] == [(5, 20), (20, 35)]


@pytest.mark.parametrize(
    ("side", "params", "boxes"),
    [
        (200, {}, 226),  # small photographs: only min_area counts
        (1000, {}, 1),
        (1000, {"min_share": 0.0}, 226),
        (200, {"min_area": 17}, 1),
    ],
)
def test_specks_are_not_annotated(tmp_path, side, params, boxes):
    label_map = np.zeros((side, side), np.uint8)
    label_map[-40:-10, -40:-10] = 1
    for number in range(225):
        row, column = divmod(number, 25)
        label_map[6 * row : 6 * row + 4, 6 * column : 6 * column + 4] = 1
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / folder).mkdir()
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(tmp_path / "JPEGImages" / "a.jpg")
    write_label_map(tmp_path / "SegmentationClass" / "a.png", label_map)
    write(tmp_path / "ImageSets" / "Segmentation" / "train.txt", "a")
    write(tmp_path / "labelmap.txt", "background:0,0,0::\ncow:128,0,0::\n")
    params = SimulationParams(kinds="boxes", workers=1, format="voc", **params)
    found = simulate_dataset(tmp_path, tmp_path / "boxes.jsonl", params)
    assert len(found.samples[0].boxes) == boxes


def test_images_without_truth_are_left_out_and_named(tmp_path):
    root, out = tmp_path / "scenes", tmp_path / "points.jsonl"
    write_scenes(root, train=4, val=0, seed=0, sides=(48, 60))
    (root / "SegmentationClass" / "train-0001.png").unlink()
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(root / "SegmentationClass" / "train-0002.png")
    done = simulated(root, out, "points=1")
    assert [sample.id for sample in done.samples] == ["train-0000", "train-0003"]
    assert [aside.id for aside in done.skipped] == ["train-0001", "train-0002"]
    shown = "\n".join(done.lines())
    assert "train-0001: it has no full mask" in shown and "of the image's size" in shown
    for path in (root / "SegmentationClass").glob("*.png"):
        path.unlink()
    with pytest.raises(InputError, match="has a mask"):
        simulated(root, out, "points=1", overwrite=True)


def test_a_file_that_exists_is_kept_by_default(scenes, tmp_path):
    out = tmp_path / "drawn.jsonl"
    out.write_text("hours of work")
    with pytest.raises(InputError, match="--overwrite"):
        simulated(scenes, out)
    assert out.read_text() == "hours of work"
    simulated(scenes, out, overwrite=True)
    assert out.read_text().startswith('{"classes"')
    with pytest.raises(InputError, match=r"must be named \.jsonl"):
        simulated(scenes, tmp_path / "drawn.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boxes=0.5", "add up to 1"),
        ("boxes", "KINDS=SHARE"),
        ("boxes=much,nothing=0.5", "KINDS=SHARE"),
        ("boxes=1.5,nothing=-0.5", "KINDS=SHARE"),
        ("circles=1", "of tags, boxes"),
        ("boxes=0.5,boxes=0.5", "boxes twice"),
        ("masks+boxes=1", "alone"),
        ("boxes+extremes=1", "alone"),
    ],
)
def test_an_invalid_mix_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        SimulationParams(mix=text)


def test_kinds_are_named_once():
    assert read_kinds("boxes, points,boxes") == ("boxes", "points")


def test_the_command_writes_the_file_and_says_what_it_holds(scenes, tmp_path, capsys):
    out = tmp_path / "points.jsonl"
    arguments = ("simulate", scenes, out, "--workers", 1)
    assert wsseg(*arguments, "--kinds", "extremes,points", "--background-points", 2) == 0
    said = capsys.readouterr().out
    samples = laid_over(scenes, out).samples
    boxes = sum(len(sample.boxes) for sample in samples)
    assert f"boxes: {boxes} in 10 images" in said
    assert f"points: {boxes + 20} in 10 images" in said
    first = sum(len({stroke.label for stroke in sample.strokes}) for sample in samples)
    points = 18.5 * 10 + 2.4 * first + 0.9 * (boxes + 20 - first)
    assert f"annotation time: {7 * boxes + points:.0f} s" in said
    assert wsseg(*arguments, "--kinds", "points") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert wsseg(*arguments, "--mix", "points=1", "--overwrite") == 0


@pytest.mark.parametrize(
    "arguments", [(), ("--kinds", "tags", "--mix", "tags=1"), ("--kinds", "tags", "--length", 2)]
)
def test_the_command_refuses_what_it_cannot_do(arguments, scenes, tmp_path, capsys):
    assert wsseg("simulate", scenes, tmp_path / "a.jsonl", *arguments) == 2
    assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("data", ["msrc15", "magnetic_tile"])
def test_no_stroke_on_real_images_leaves_its_class(shared_data, data, tmp_path):
    root = shared_data / data
    truth, out = read_truth(root, splits=["train"]), tmp_path / "all.jsonl"
    mix = "tags+boxes+points+scribbles=0.8,masks=0.1,blocks=0.1"
    done = simulated(root, out, mix, jitter=0.1)
    assert not done.skipped
    for sample in done.samples:
        label_map = truth.label_map(sample)
        for stroke in sample.strokes:
            painted = stroke_map(Strokes((stroke,)), sample.size)
            on = painted != IGNORE
            assert on.any() and (label_map[on] == stroke.label).all()
    settings = DataParams(root=root, weak="none", annotations=(out,), val=None)
    read = {sample.id: sample.annotations for sample in read_weak(settings).samples}
    assert {sample.id: sample.annotations for sample in done.samples}.items() <= read.items()
