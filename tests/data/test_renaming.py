import json

import numpy as np
import pytest
from helpers.builders import write, write_settings
from helpers.formats import FORMATS, NAMES, SIZE, encoded, image_bytes
from helpers.running import wsseg as command
from PIL import Image

import wsseg
from wsseg.data.annotation import Boxes, MaskFile, Regions, Tags
from wsseg.data.check import check_dataset
from wsseg.data.classes import present_classes
from wsseg.data.constraints import constraints_of, label_map_of
from wsseg.data.formats.raw import RawFile, RawImage
from wsseg.data.formats.table import read_raw
from wsseg.data.load import read_base, read_weak
from wsseg.data.model import Classes
from wsseg.data.params import DataParams
from wsseg.data.renaming import rename_file, renaming_of
from wsseg.data.strokes import Strokes
from wsseg.data.truth import load
from wsseg.errors import InputError
from wsseg.labelmaps import read_label_map
from wsseg.runs.config import load_config
from wsseg.runs.labelling import samples_key
from wsseg.synthetic.scenes import CLASSES

BEFORE = Classes(("background", "cow", "sheep", "car"))
MERGED = {"vehicle": ["car"], "animal": ["cow", "sheep"]}


def scene(root, classes=BEFORE.names[1:]):
    """A data set of JSON Lines with a mark of each kind and class, and a mask of all labels."""
    write(root / "images" / "a.png", image_bytes())
    write(root / "images" / "b.png", image_bytes(seed=1))
    marks = []
    for number, name in enumerate(classes):
        x = 2 + 9 * number
        marks += [
            {"type": "box", "class": name, "points": [[x, 2], [x + 8, 22]]},
            {"type": "point", "class": name, "points": [[x + 1, 4]]},
            {"type": "polygon", "class": name, "points": [[x, 9], [x + 8, 9], [x + 8, 15]]},
        ]
    labels = np.zeros(SIZE, np.uint8)
    for label in range(len(classes) + 1):
        labels[:, 8 * label :] = label
    labels[0] = 255
    write(root / "b_mask.png", encoded(Image.fromarray(labels)))
    lines = [
        {"classes": ["background", *classes]},
        {"image": "a.png", "tags": [*classes], "marks": marks},
        {"image": "b.png", "marks": [{"type": "mask", "file": "b_mask.png"}]},
    ]
    write(root / "train.jsonl", "\n".join(map(json.dumps, lines)))
    return root


def read(root, classes, **values):
    return read_weak(DataParams(root=root, val=None, classes=classes, **values))


def of_kind(sample, kind):
    return [item for a in sample.annotations if isinstance(a, kind) for item in a.items]


def test_classes_are_merged_renamed_and_ordered(tmp_path):
    dataset = read(scene(tmp_path), MERGED)
    assert dataset.classes.names == ("background", "vehicle", "animal")
    sample = dataset.samples[0]
    assert sample.tags == Tags((1, 2))
    for kind in (Boxes, Strokes, Regions):
        assert [item.label for item in of_kind(sample, kind)] == [2, 2, 1]


def test_what_is_drawn_of_a_dropped_class_becomes_background(tmp_path):
    dataset = read(scene(tmp_path), ["cow"])
    assert dataset.classes.names == ("background", "cow")
    sample = dataset.samples[0]
    assert sample.tags == Tags((1,))
    assert [box.label for box in sample.boxes] == [1]
    assert [stroke.label for stroke in sample.strokes] == [1, 0, 0]
    assert [region.label for region in of_kind(sample, Regions)] == [1, 0, 0]
    known = constraints_of(sample, 2).known
    assert known[4, 12] == 0 and known[4, 3] == 1


@pytest.mark.parametrize(
    ("classes", "values"),
    [
        (["cow"], [0, 1, 0, 0]),
        (["car", "cow"], [0, 2, 0, 1]),
        (MERGED, [0, 2, 2, 1]),
        ({"cow": ["cow"], "background": ["sheep", "car"]}, [0, 1, 0, 0]),
        (["car", "sheep", "cow"], [0, 3, 2, 1]),
    ],
)
def test_mask_files_are_read_in_the_new_labels(tmp_path, classes, values):
    dataset = read(scene(tmp_path), classes)
    sample = dataset.samples[1]
    (mask,) = (a for a in sample.annotations if isinstance(a, MaskFile))
    label_map = label_map_of(mask, sample.size, len(dataset.classes))
    assert label_map[9, ::8].tolist() == values
    assert set(label_map[0].tolist()) == {255}
    assert present_classes(sample) == tuple(sorted({*values} - {0}))
    data = DataParams(root=tmp_path, val=None, classes=classes)
    loaded = load(data)
    truth = loaded.truth.label_map(loaded.dataset.samples[1])
    assert truth.tolist() == label_map.tolist()
    assert check_dataset(data, workers=1).errors == ()


def test_values_that_no_class_has_stay_errors(tmp_path):
    root = scene(tmp_path)
    write(root / "b_mask.png", encoded(Image.fromarray(np.full(SIZE, 7, np.uint8))))
    data = DataParams(root=root, val=None, classes=["cow"])
    loaded = load(data)
    with pytest.raises(InputError, match="got label 7"):
        loaded.truth.label_map(loaded.dataset.samples[1])
    messages = {error.message for error in check_dataset(data, workers=1).errors}
    assert len(messages) == 1 and "labels [7]" in messages.pop()


def test_read_label_map_applies_labels(tmp_path):
    path = write(
        tmp_path / "m.png", encoded(Image.fromarray(np.array([[0, 1, 2, 9, 255]], np.uint8)))
    )
    assert read_label_map(path, (0, 2, 1)).tolist() == [[0, 2, 1, 9, 255]]


def test_unsure_tags_follow_their_classes(tmp_path):
    scene(tmp_path)
    lines = [{"classes": ["background", *BEFORE.names[1:]]}]
    lines += [{"image": "a.png", "tags": ["cow"], "unsure": ["sheep", "car"]}]
    write(tmp_path / "train.jsonl", "\n".join(map(json.dumps, lines)))
    assert read(tmp_path, MERGED).samples[0].tags == Tags((2,), (1,))
    assert read(tmp_path, ["sheep"]).samples[0].tags == Tags((), (1,))


@pytest.mark.parametrize("format", ["voc", "coco", "yolo", "csv", "cvat", "labelme", "jsonl"])
def test_every_format_is_renamed(tmp_path, format):
    root = FORMATS[format]().write(tmp_path / "set")
    kind = "tags" if format == "csv" else "boxes"
    plain = read_weak(DataParams(root=root, val=None, weak=kind))
    both = read(root, {"animal": list(NAMES)}, weak=kind)
    assert both.classes.names == ("background", "animal")
    assert len(both.samples) == len(plain.samples) > 0
    for one, other in zip(plain.samples, both.samples, strict=True):
        assert len(one.boxes) == len(other.boxes)
        assert {box.label for box in other.boxes} <= {1}
        assert bool(one.tagged) == bool(other.tagged)
    assert both.problems == plain.problems


def test_polygons_of_dropped_classes_are_background_in_the_truth(tmp_path):
    root = FORMATS["coco"]().write(tmp_path / "set")
    page = json.loads((root / "annotations/instances_train.json").read_text())
    page["annotations"][0]["category_id"] = 2
    page["annotations"] = page["annotations"][:1]
    write(root / "annotations/instances_train.json", page)
    loaded = load(DataParams(root=root, val=None, classes=["cow"]))
    assert loaded.truth.dataset.samples[0].annotations == (Regions(()),)
    loaded = load(DataParams(root=root, val=None, classes=["sheep"]))
    assert (loaded.truth.label_map(loaded.dataset.samples[0]) == 1).sum() > 100


@pytest.mark.parametrize("name", ["sheep", "animal"])
def test_files_laid_over_may_name_old_or_new_classes(tmp_path, name):
    root = scene(tmp_path / "set")
    mark = {"type": "point", "class": name, "points": [[30, 20]]}
    write(tmp_path / "p.jsonl", {"image": "a.png", "marks": [mark]})
    dataset = read(root, MERGED, weak="none", annotations=[tmp_path / "p.jsonl"])
    assert [stroke.label for stroke in dataset.samples[0].strokes] == [2]
    assert dataset.problems == ()


@pytest.mark.parametrize(
    ("listed", "values"),
    [
        (["background", "cow", "sheep", "car"], [0, 2, 2, 1]),
        (["background", "vehicle", "animal"], [0, 1, 2, 0]),
        (None, [0, 2, 2, 1]),
    ],
)
def test_masks_laid_over_are_numbered_by_the_classes_of_their_file(tmp_path, listed, values):
    root = scene(tmp_path / "set")
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 8:], mask[:, 16:] = 1, 2
    mask[:, 24:] = 3 if listed is None or len(listed) == 4 else 0
    write(tmp_path / "m.png", encoded(Image.fromarray(mask)))
    line = {"image": "a.png", "marks": [{"type": "mask", "file": "m.png"}]}
    lines = [*([{"classes": listed}] if listed else []), line]
    write(tmp_path / "p.jsonl", "\n".join(map(json.dumps, lines)))
    dataset = read(root, MERGED, weak="none", corrections=[tmp_path / "p.jsonl"])
    (sample_mask,) = dataset.samples[0].annotations
    label_map = label_map_of(sample_mask, SIZE, len(dataset.classes))
    assert label_map[9, ::8].tolist() == values


@pytest.mark.parametrize("names", [b"cow:::\nsheep:::\n", b"animal:::\n"])
def test_folders_of_masks_laid_over_have_old_or_new_classes(tmp_path, names):
    made = FORMATS["voc"]()
    root = made.write(tmp_path / "set")
    other = made.write(tmp_path / "other", {"labelmap.txt": b"background:::\n" + names})
    for page in (other / "Annotations").iterdir():
        page.unlink()
    classes = {"animal": ["sheep", "cow"]}
    dataset = read(root, classes, weak="boxes", annotations=[other])
    (mask,) = (a for a in dataset.samples[0].annotations if isinstance(a, MaskFile))
    assert set(np.unique(label_map_of(mask, SIZE, 2)).tolist()) == {0, 1}


def test_names_in_another_case_follow_their_class():
    renaming = renaming_of({"animal": ["cow", "sheep"]}, BEFORE)
    assert [renaming(name) for name in ("Cow", " SHEEP", "Car", "goat", "animal")] == [
        *("animal", "animal", "background", "goat", "animal")
    ]


def test_remarks_stay_remarks_unless_they_name_classes():
    renaming = renaming_of({"animal": ["cow"]}, BEFORE)

    def renamed(*tags):
        image = RawImage("a", "a.png", tags=tags, tags_are_remarks=True)
        (result,) = rename_file(RawFile((image,)), renaming).images
        return result.tags, result.tags_are_remarks

    assert renamed("reviewed") == (("reviewed",), True)
    assert renamed("reviewed", "cow") == (("animal",), False)
    assert renamed("reviewed", "car") == ((), False)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "at least one class"),
        (["background"], "at least one class"),
        (["cow", "cow"], r"distinct classes \(cow occurs twice\)"),
        ({"a": ["cow"], "b": ["cow", "sheep"]}, r"each old class once \(cow occurs twice\)"),
        ({"a": []}, r"one or more old ones each \(a has none\)"),
        ({"a": ["background"]}, "the background cannot become one of them"),
        ([True, "cow"], "put names such as yes, no and null in quotes"),
        ("cow", "new names with lists of old ones"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(tmp_path, classes, message):
    with pytest.raises(InputError, match=message) as caught:
        DataParams(root=tmp_path, classes=classes)
    assert str(caught.value).startswith("classes in DataParams must be ")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            ["cow", "shep"],
            "names 'shep', which .* not have; did you mean 'sheep'. Known: cow, sheep",
        ),
        ({"animal": ["Cow"]}, "names 'Cow', .*did you mean 'cow'"),
        ({"car": ["cow"]}, "another class 'car'; add car to that list, or choose another new name"),
    ],
)
def test_lists_that_do_not_fit_the_data_are_refused(tmp_path, classes, message):
    with pytest.raises(InputError, match=message):
        read(scene(tmp_path), classes)


def test_names_that_yaml_reads_as_numbers_and_single_names_are_classes(tmp_path):
    classes = "{animal: cow, 1: [2, sheep]}"
    text = f"run_dir: {tmp_path}/r\ndata: {{root: {tmp_path}, classes: {classes}}}"
    config = load_config(write(tmp_path / "c.yaml", text))
    assert config.data.classes == {"animal": ("cow",), "1": ("2", "sheep")}
    replaced = load_config(tmp_path / "c.yaml", ["data.classes=[z, a]"])
    assert [*replaced.data.classes.items()] == [("z", ("z",)), ("a", ("a",))]


def test_labels_belong_to_the_key_of_a_stage(tmp_path):
    root = scene(tmp_path)
    masks = [load(DataParams(root=root, val=None, classes=c)).truth for c in (["cow"], ["sheep"])]
    keys = {samples_key([truth.with_mask(truth.dataset.samples[1])]) for truth in masks}
    assert len(keys) == 2


def test_the_python_function_takes_classes(tmp_path):
    dataset = wsseg.load_dataset(scene(tmp_path), classes=["car"])
    assert dataset.classes.names == ("background", "car")
    assert len(dataset.samples[0].boxes) == 1


def test_without_the_setting_nothing_changes(tmp_path):
    root = scene(tmp_path)
    assert read_base(DataParams(root=root, val=None)) == read_raw(root, "auto", ["train"])


def test_a_run_keeps_the_order_of_its_classes(scenes, tmp_path):
    """Seeds alone: their labels, the stored settings and the report follow the setting."""
    one, two, *_ = CLASSES.names[1:]
    classes = f"data.classes={{z: [{two}], a: [{one}]}}"
    config = write_settings(
        tmp_path / "c.yaml",
        run_dir=str(tmp_path / "run"),
        data={"root": str(scenes)},
        seeds={"name": "box"},
        rounds={"count": 0},
    )
    assert command("run", config, classes) == 0
    stored = wsseg.Run(tmp_path / "run").config.data.classes
    assert [*stored] == ["z", "a"]
    label_maps = [read_label_map(path) for path in (tmp_path / "run").glob("**/labels/*.png")]
    assert label_maps and {*np.unique(np.concatenate([m.ravel() for m in label_maps]))} <= {
        0,
        1,
        2,
        255,
    }
    dataset = read_weak(DataParams(root=scenes, weak="boxes"))
    before = dataset.classes.index(two)
    for sample in dataset.split("train"):
        (path,) = (tmp_path / "run").glob(f"**/labels/{sample.id}.png")
        assert (1 in read_label_map(path)) == (before in present_classes(sample))
