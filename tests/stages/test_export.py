"""Label maps of a run go out to a tool, are corrected there, and come in again."""

import csv
import json
from pathlib import Path
from xml.etree.ElementTree import SubElement, parse

import numpy as np
import pytest
from helpers.accepted import accept, accepted
from helpers.builders import write, write_image
from helpers.running import working, wsseg

from wsseg.data.annotation import MaskFile, Regions
from wsseg.data.constraints import constraints_of, label_map_of
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import read_weak
from wsseg.data.model import Classes, Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map
from wsseg.runs.config import Config, load_config
from wsseg.runs.labelling import label_images
from wsseg.runs.run import open_run
from wsseg.runs.stage import finished_stage
from wsseg.stages.export import WRITERS, export_labels, write_quality
from wsseg.stages.params import ExportParams, RoundParams
from wsseg.stages.signals import inspect, read_signals
from wsseg.synthetic.scenes import write_scenes

MASKS = {
    **{"voc": "masks", "coco": "masks", "yolo": "masks"},
    **{"cvat": "all", "jsonl": "all", "labelme": "all"},
}
ONE_FILE = [name for name in WRITERS if name not in ("labelme", "yolo")]  # which has an order
READ_AS = {"fiftyone": "jsonl"}
BAD = "train-0002"


def labelled(sample, shift=0):
    """A label map that differs from image to image and from stage to stage."""
    if sample.id == BAD:
        raise InputError(sample.id, "a readable image", "rubbish", "replace it")
    random = np.random.default_rng([shift, *sample.id.encode()])
    small = random.choice(np.array([0, 1, 2, 3, IGNORE], np.uint8), (5, 6))
    rows, columns = (np.arange(n) * k // n for n, k in zip(sample.size, (5, 6), strict=True))
    return small[rows][:, columns], {}


def again(sample):
    return labelled(sample, 1)


@pytest.fixture
def scenes(tmp_path):
    write_scenes(tmp_path / "scenes", train=4, val=2, seed=0, sides=(48, 64))
    return tmp_path / "scenes"


@pytest.fixture
def run(tmp_path, scenes):
    """A run of two rounds that trained nothing; one image is skipped."""
    data = DataParams(format="voc", root=scenes)
    rounds = RoundParams(count=2)
    config = Config(
        run_dir=tmp_path / "run", data=data, machine={"workers": 1, "device": "cpu"}, rounds=rounds
    )
    dataset = read_weak(data)
    with open_run(config) as made:
        seeds = made.stage("seeds")
        label_images(made, seeds, labelled, dataset.split("train"))
        model = made.stage("round-1/model", labels=seeds)
        with working(model):
            pass
        val = made.stage("round-1/val", model=model)
        label_images(made, val, labelled, dataset.split("val"))
        label_images(made, made.stage("round-1", model=model), again, dataset.split("train"))
    return config.run_dir


@pytest.fixture
def inspected(run):
    """The same run, its last labels looked at."""
    config = load_config(run / "config.yaml")
    stages = [finished_stage(run, name) for name in ("seeds", "round-1")]
    with open_run(config) as made:
        inspect(made, stages, read_weak(config.data).split("train"))
    return run


def by_quality(run):
    """Mean estimate by image, the worst first."""
    table = read_signals(run / "round-1")
    return table.groupby("id")["estimate"].mean().sort_values(kind="stable").round(4).to_dict()


def read_back(out, to):
    format = READ_AS.get(to, to)
    is_labelstudio = to == "labelstudio"
    dataset = accepted(out) if is_labelstudio else read_dataset(out, format, use=MASKS[format])
    assert dataset.problems == ()
    return {
        sample.id: label_map_of(sample.annotations[0], sample.size, len(dataset.classes))
        for sample in dataset.samples
    }


def same(found, labels, to=""):
    """True if label maps are those of a stage, one by one and pixel by pixel."""
    expected = {path.stem: read_label_map(path) for path in labels.glob("*.png")}
    if to == "yolo":  # which knows no unknown pixels
        expected = {id: np.where(drawn == IGNORE, 0, drawn) for id, drawn in expected.items()}
    equal = all(np.array_equal(found[id], expected[id]) for id in found.keys() & expected.keys())
    return found.keys() == expected.keys() and equal


@pytest.mark.parametrize("to", WRITERS)
def test_the_last_complete_stage_is_exported(run, to, tmp_path):
    out = tmp_path / "new" / "out"
    assert wsseg("export", run, out, "--to", to) == 0
    assert same(read_back(out, to), run / "round-1" / "labels", to)
    scenes = read_dataset(tmp_path / "scenes", "voc")
    if to == "labelstudio":  # predictions say nothing until a person accepts them
        assert accepted(out).classes == scenes.classes
        return
    assert read_dataset(out, READ_AS.get(to, to)).classes == scenes.classes
    assert wsseg("check", out) == 0


@pytest.mark.parametrize(
    ("options", "labels", "split"),
    [
        (["--stage", "seeds"], "seeds", "train"),
        (["--stage", "round-1", "--split", "train"], "round-1", "train"),
        (["--split", "val"], "round-1/val", "val"),
        (["--stage", "round-1/val"], "round-1/val", "val"),
    ],
)
def test_a_stage_or_a_split_is_chosen(run, options, labels, split, tmp_path):
    assert wsseg("export", run, tmp_path / "out", "--to", "coco", *options) == 0
    assert same(read_back(tmp_path / "out", "coco"), run / labels / "labels")
    (sample, *_) = read_dataset(tmp_path / "out", "coco").samples
    assert sample.split == split


def test_skipped_and_damaged_images_are_reported(run, tmp_path, capsys):
    write_label_map(run / "round-1" / "labels" / "train-0001.png", np.zeros((3, 3), np.uint8))
    (run / "round-1" / "labels" / "train-0003.png").unlink()
    assert export_labels(run, tmp_path / "out", ExportParams(to="voc")) == 1
    said = capsys.readouterr().err
    assert f"skipped {BAD}: {BAD} must be a readable image, got rubbish" in said
    assert "skipped train-0001" in said and "of the image's size" in said
    assert "skipped train-0003" in said and "no such file" in said
    assert "1 images of stage round-1" in said
    assert list(read_back(tmp_path / "out", "voc")) == ["train-0000"]
    assert [path.stem for path in (tmp_path / "out" / "JPEGImages").iterdir()] == ["train-0000"]


def test_nothing_to_export_is_an_error_and_leaves_nothing(run, tmp_path):
    with pytest.raises(InputError, match=r"round-1 has no label map of the 2 images"):
        export_labels(run, tmp_path / "out", ExportParams(to="cvat", stage="round-1", split="val"))
    assert {path.name for path in tmp_path.iterdir()} == {"run", "scenes"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"to": "pascal"},
            "to in ExportParams must be 'voc', 'coco', 'cvat', 'fiftyone', 'labelstudio', "
            "'labelme' or 'yolo', got 'pascal'",
        ),
        ({"images": "move"}, "images in ExportParams must be 'copy', 'link' or 'none', got 'move'"),
        ({"stage": "round-2"}, "stages with label maps: round-1, round-1/val, seeds"),
        ({"stage": "round-1/model"}, "has no label maps of this stage"),
        ({"stage": "../run/seeds"}, "has no label maps of this stage"),
        ({"split": "test"}, "known: train, val"),
        ({"split": "../x"}, "without '..'"),
        ({"worst": 0}, "worst in ExportParams must be greater than 0, got 0"),
        ({"worst": 2}, "--worst: stage round-1 has no estimates of quality"),
    ],
)
def test_wrong_options(run, options, message, tmp_path):
    with pytest.raises(InputError) as stop:
        export_labels(run, tmp_path / "out", ExportParams(**{"to": "voc", **options}))
    assert message in str(stop.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert wsseg("export", tmp_path, tmp_path / "out", "--to", "voc") == 2
    assert "is not the folder of a run" in capsys.readouterr().err


def test_an_unfinished_stage_is_refused_and_an_earlier_one_is_the_last(run, tmp_path):
    (run / "round-1" / "manifest.json").unlink()
    with pytest.raises(InputError, match="round-1 must be complete"):
        export_labels(run, tmp_path / "out", ExportParams(to="voc", stage="round-1"))
    export_labels(run, tmp_path / "out", ExportParams(to="voc"))
    assert same(read_back(tmp_path / "out", "voc"), run / "seeds" / "labels")
    (run / "seeds" / "manifest.json").unlink()
    with pytest.raises(InputError, match="no complete stage with label maps of the split 'train'"):
        export_labels(run, tmp_path / "other", ExportParams(to="voc"))


@pytest.mark.parametrize("is_folder", [True, False])
def test_files_that_are_there_are_never_replaced(run, is_folder, tmp_path):
    out = tmp_path / "out"
    correction = out / "annotations.xml" if is_folder else out
    correction.parent.mkdir(exist_ok=True)
    correction.write_text("a day's work")
    with pytest.raises(InputError, match="must be a new or empty folder"):
        export_labels(run, out, ExportParams(to="cvat"))
    assert correction.read_text() == "a day's work"
    assert [*out.rglob("*")] == ([correction] if is_folder else [])


def test_an_empty_folder_is_used(run, tmp_path):
    (tmp_path / "out").mkdir()
    assert export_labels(run, tmp_path / "out", ExportParams(to="cvat")) == 3


def test_an_interrupted_export_leaves_nothing(run, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("wsseg.stages.export.shutil.copyfile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_labels(run, tmp_path / "out", ExportParams(to="voc"))
    assert {path.name for path in tmp_path.iterdir()} == {"run", "scenes"}


@pytest.mark.parametrize("to", WRITERS)
def test_images_are_copied_linked_or_left(run, scenes, to, tmp_path):
    original = scenes / "JPEGImages" / "train-0000.png"
    for images in ("copy", "link", "none"):
        export_labels(run, tmp_path / images, ExportParams(to=to, images=images))
    copied = tmp_path / "copy" / WRITERS[to][1].format(split="train") / original.name
    linked = tmp_path / "link" / copied.relative_to(tmp_path / "copy")
    assert copied.read_bytes() == original.read_bytes() and not copied.samefile(original)
    assert linked.samefile(original)
    assert same(read_back(tmp_path / "link", to), run / "round-1" / "labels", to)
    assert not (tmp_path / "none" / copied.relative_to(tmp_path / "copy")).exists()


def test_a_link_that_cannot_be_made_says_what_to_do(run, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(InputError, match="cross-device link; use --images copy"):
        export_labels(run, tmp_path / "out", ExportParams(to="voc", images="link"))


@pytest.mark.parametrize("to", ONE_FILE)
def test_inspected_labels_go_out_worst_first(inspected, to, tmp_path):
    out, expected = tmp_path / "out", by_quality(inspected)
    assert wsseg("export", inspected, out, "--to", to) == 0
    assert listed(out, to) == [*expected] != sorted(expected)
    assert same(read_back(out, to), inspected / "round-1" / "labels", to)
    assert to == "labelstudio" or wsseg("check", out) == 0
    with (out / "quality.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert {row["image"]: float(row["quality"]) for row in rows} == expected
    assert [row["image"] for row in rows] == [*expected]


def listed(out, to):
    """The images of an export in the order of its files."""
    if to == "voc":
        return (out / "ImageSets" / "Segmentation" / "train.txt").read_text().split()
    if to == "cvat":
        images = parse(out / "annotations.xml").getroot().findall("image")
        assert [image.get("id") for image in images] == [str(n) for n in range(len(images))]
        return [Path(image.get("name")).stem for image in images]
    if to == "coco":
        content = json.loads((out / "annotations" / "instances_train.json").read_text())
        return [Path(image["file_name"]).stem for image in content["images"]]
    if to == "labelstudio":
        tasks = json.loads((out / "train.json").read_text())
        return [Path(task["data"]["image"]).stem for task in tasks]
    content = json.loads((out / "samples.json").read_text())
    return [Path(sample["filepath"]).stem for sample in content["samples"]]


def test_quality_csv_names_the_worst_class(inspected, tmp_path):
    export_labels(inspected, tmp_path / "out", ExportParams(to="voc"))
    names = read_dataset(tmp_path / "scenes", "voc").classes.names
    signals = read_signals(inspected / "round-1")
    with (tmp_path / "out" / "quality.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            worst = signals[signals["id"] == row["image"]].nsmallest(1, "estimate").iloc[0]
            assert row["worst_class"] == names[worst["class"]]
            assert float(row["estimate"]) == pytest.approx(worst["estimate"], abs=5e-5)


def test_coco_holds_quality_and_scores(inspected, tmp_path):
    export_labels(inspected, tmp_path / "out", ExportParams(to="coco"))
    content = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    ids = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
    quality = {ids[image["id"]]: image["quality"] for image in content["images"]}
    assert quality == by_quality(inspected)
    table = read_signals(inspected / "round-1").set_index(["id", "class"])["estimate"].round(4)
    for entry in content["annotations"]:
        if entry["iscrowd"]:
            assert "score" not in entry
        else:
            assert entry["score"] == table[ids[entry["image_id"]], entry["category_id"]]


@pytest.mark.parametrize("to", ONE_FILE)
def test_the_worst_images_alone(inspected, to, tmp_path):
    out, expected = tmp_path / "out", [*by_quality(inspected)]
    assert wsseg("export", inspected, out, "--to", to, "--worst", "2") == 0
    assert listed(out, to) == expected[:2]
    assert {path.stem for path in (out / WRITERS[to][1].format(split="train")).iterdir()} == {
        *expected[:2]
    }
    # the one that is damaged is none of them
    write_label_map(inspected / "round-1" / "labels" / f"{expected[0]}.png", np.zeros((3, 3), "u1"))
    again = tmp_path / "again"
    assert export_labels(inspected, again, ExportParams(to=to, worst=2)) == 2
    assert listed(again, to) == expected[1:]


def test_estimates_of_older_labels_do_not_count(inspected, tmp_path):
    manifest = inspected / "round-1" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"key": "another"}))
    with pytest.raises(InputError, match="round-1 has no estimates of quality"):
        export_labels(inspected, tmp_path / "out", ExportParams(to="voc", worst=1))
    assert export_labels(inspected, tmp_path / "out", ExportParams(to="voc")) == 3
    assert listed(tmp_path / "out", "voc") == ["train-0000", "train-0001", "train-0003"]
    assert not (tmp_path / "out" / "quality.csv").exists()


@pytest.mark.parametrize("key", ["corrections", "annotations"])
def test_corrections_in_a_folder_of_fiftyone_come_in_again(run, scenes, key, tmp_path):
    """Masks changed in their files, the images still in their own folder."""
    out = tmp_path / "out"
    export_labels(run, out, ExportParams(to="fiftyone", images="none"))
    entries = json.loads((out / "samples.json").read_text())["samples"]
    assert all(Path(entry["filepath"]).parent == scenes / "JPEGImages" for entry in entries)
    expected = {}
    for entry in entries:
        mask = out / entry["labels"]["mask_path"]
        drawn = np.where(read_label_map(mask) == 1, 2, read_label_map(mask)).astype(np.uint8)
        write_label_map(mask, drawn)
        expected[mask.stem] = drawn
    data = DataParams(format="voc", root=scenes, weak="none", val=None, **{key: (out,)})
    found = read_weak(data)
    assert found.problems == ()
    for sample in found.samples:
        if sample.id != BAD:
            np.testing.assert_array_equal(constraints_of(sample, 6).known, expected[sample.id])


def relabelled(image, label_map, names):
    """Give the first region of an image another class, as a person does who clicks on it."""
    mask = image.find("mask")
    left, top, width, height = (int(mask.get(key)) for key in ("left", "top", "width", "height"))
    runs = [int(run) for run in mask.get("rle").split(",")]
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    label = next(n for n, name in enumerate(names) if n and name != mask.get("label"))
    mask.set("label", names[label])
    expected = label_map.copy()
    expected[top : top + height, left : left + width][pixels] = label
    return expected


@pytest.mark.parametrize("suffix", [".png", ".jpg", ""])
def test_corrections_made_in_cvat_come_in_again(run, scenes, suffix, tmp_path):
    """One region relabelled and a scribble drawn; the images may have got another suffix."""
    export_labels(run, tmp_path / "out", ExportParams(to="cvat", images="none"))
    path = tmp_path / "out" / "annotations.xml"
    dataset = read_dataset(scenes, "voc", ["train"], use="none")
    expected = {path.stem: read_label_map(path) for path in (run / "round-1/labels").glob("*.png")}
    tree = parse(path)
    for image in tree.getroot().findall("image"):
        image.set("name", Path(image.get("name")).stem + suffix)
    image = tree.getroot().find("image")
    sample = next(s for s in dataset.samples if s.id == Path(image.get("name")).stem)
    names = dataset.classes.names
    corrected = relabelled(image, expected[sample.id], names)
    drawn = SubElement(image, "polyline", {"label": names[3], "points": "4.5,10.5;30.5,10.5"})
    SubElement(drawn, "attribute", {"name": "width"}).text = "1"
    corrected[10, 4:31] = 3
    expected[sample.id] = corrected
    tree.write(path)
    data = DataParams(format="voc", root=scenes, weak="none", val=None, annotations=(path,))
    found = read_weak(data)
    assert found.problems == ()
    for each in found.samples:
        constraints = constraints_of(each, len(found.classes))
        if each.id == BAD:
            assert each.annotations == () and (constraints.known == IGNORE).all()
        else:
            np.testing.assert_array_equal(constraints.known, expected[each.id])
            assert constraints.allowed[:, expected[each.id] == IGNORE].all()


@pytest.mark.parametrize("to", [name for name in WRITERS if name != "fiftyone"])
def test_exports_are_corrections_as_they_are(run, scenes, to, tmp_path):
    """Every pixel with a label replaces the boxes; an image that was skipped keeps its boxes."""
    out = tmp_path / "out"
    export_labels(run, out, ExportParams(to=to))
    place = accept(out) if to == "labelstudio" else out
    data = DataParams(format="voc", root=scenes, val=None, corrections=(place,))
    found = read_weak(data)
    assert found.problems == ()
    before = {
        sample.id: sample
        for sample in read_weak(data.model_copy(update={"corrections": ()})).samples
    }
    for sample in found.samples:
        if sample.id == BAD:
            assert sample.annotations == before[BAD].annotations != ()
            continue
        assert not sample.boxes
        expected = read_label_map(run / "round-1/labels" / f"{sample.id}.png")
        if to == "yolo":
            expected = np.where(expected == IGNORE, 0, expected)
        known = constraints_of(sample, len(found.classes)).known
        np.testing.assert_array_equal(known[expected != IGNORE], expected[expected != IGNORE])
        if not (expected == IGNORE).all():
            assert any(isinstance(a, MaskFile | Regions) for a in sample.annotations)


@pytest.mark.parametrize("to", ["voc", "coco"])
def test_corrections_of_a_mask_come_in_again(run, scenes, to, tmp_path):
    """A region painted over in a data set that another program saved."""
    out = tmp_path / "out"
    export_labels(run, out, ExportParams(to=to))
    before = read_back(out, to)
    corrected = {
        id: np.where(drawn == 1, 2, drawn).astype(np.uint8) for id, drawn in before.items()
    }
    if to == "voc":
        for id, drawn in corrected.items():
            write_label_map(out / "SegmentationClass" / f"{id}.png", drawn)
    else:
        path = out / "annotations" / "instances_train.json"
        text = path.read_text()
        crowd = '"iscrowd": 1'
        lines = [
            line if crowd in line else line.replace('"category_id": 1,', '"category_id": 2,')
            for line in text.splitlines()
        ]
        path.write_text("\n".join(lines))
    found = read_back(out, to)
    assert found.keys() == corrected.keys()
    assert any((before[id] != drawn).any() for id, drawn in corrected.items())
    for id, drawn in corrected.items():
        np.testing.assert_array_equal(found[id], drawn)
    # laid over the boxes, the corrected pixels win over these
    data = DataParams(format="voc", root=scenes, val=None, annotations=(out,))
    laid_over = [sample for sample in read_weak(data).samples if sample.id in corrected]
    assert len(laid_over) == len(corrected)
    for sample in laid_over:
        assert sample.boxes
        known, drawn = constraints_of(sample, 6).known, corrected[sample.id]
        np.testing.assert_array_equal(known[drawn != IGNORE], drawn[drawn != IGNORE])


def test_images_in_folders_with_signs_in_their_names(tmp_path):
    """A CSV of images in folders; its run's labels go out and come in under the same names."""
    names = ["north & south/a", "north & south/b <2>", "c"]
    for name in names:
        write_scenes(tmp_path / "one", train=1, val=0, seed=0, sides=(48, 64))
        target = tmp_path / "set" / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "one" / "JPEGImages" / "train-0000.png").read_bytes())
    rows = "".join(f"{name}.png,cow\n" for name in names)
    (tmp_path / "set" / "train.csv").write_text(f"image,tags\n{rows}")
    data = DataParams(format="csv", root=tmp_path / "set", weak="tags", val=None)
    config = Config(run_dir=tmp_path / "run", data=data, machine={"workers": 1, "device": "cpu"})
    with open_run(config) as made:
        samples = read_weak(data).split("train")
        label_images(made, made.stage("seeds"), one_class, samples)
    for to in WRITERS:
        export_labels(config.run_dir, tmp_path / to, ExportParams(to=to))
        found = read_back(tmp_path / to, to)
        assert found.keys() == set(names)
        assert all(set(np.unique(drawn)) == {0, 1} for drawn in found.values())


def one_class(sample):
    return (np.arange(sample.size[1]) % 2).astype(np.uint8)[None].repeat(sample.size[0], 0), {}


def test_quality_of_images_of_any_name(tmp_path):
    classes = Classes(("background", "cow", 'sheep, "old"'))
    ids = ["Kühe;=1+1", "a/b, \"c\" 'd'", "last", "plain"]
    estimates = {ids[0]: {1: 0.25}, ids[1]: {1: 0.5, 2: 0.12345}, ids[2]: {1: 0.9}}
    samples = [Sample(id, Path(f"{id}.jpg"), (4, 5), (), "train") for id in ids]
    write_quality(tmp_path / "q.csv", classes, samples, estimates)
    with (tmp_path / "q.csv").open(newline="", encoding="utf-8") as file:
        assert [*csv.reader(file, strict=True)] == [
            ["rank", "image", "quality", "worst_class", "estimate"],
            ["1", ids[0], "0.25", "cow", "0.25"],
            ["2", ids[1], "0.3117", 'sheep, "old"', "0.1235"],
            ["3", ids[2], "0.9", "cow", "0.9"],
            ["4", ids[3], "", "", ""],
        ]


def test_images_and_categories_of_coco_keep_their_ids(tmp_path):
    root = tmp_path / "data"
    for name in ("a", "b"):
        write_image(root / "images" / "train" / f"{name}.png", (20, 30))
    content = {
        "images": [
            {"id": number, "file_name": f"{name}.png", "height": 20, "width": 30}
            for number, name in ((881, "a"), (12, "b"))
        ],
        "categories": [{"id": 44, "name": "sheep"}, {"id": 21, "name": "cow"}],
        "annotations": [{"id": 1, "image_id": 881, "category_id": 44, "bbox": [1, 2, 9, 9]}],
    }
    write(root / "annotations" / "instances_train.json", content)
    data = DataParams(root=root, val=None)
    config = Config(run_dir=tmp_path / "run", data=data, machine={"workers": 1, "device": "cpu"})
    dataset = read_weak(data)
    with open_run(config) as made:
        label_images(made, made.stage("seeds"), labelled_sheep, dataset.split("train"))
    assert dataset.classes.names[1:] == ("cow", "sheep")
    export_labels(config.run_dir, tmp_path / "out", ExportParams(to="coco"))
    written = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    assert {entry["file_name"]: entry["id"] for entry in written["images"]} == {
        "a.png": 881,
        "b.png": 12,
    }
    assert written["categories"] == [{"id": 21, "name": "cow"}, {"id": 44, "name": "sheep"}]
    assert {entry["category_id"] for entry in written["annotations"]} == {44}
    assert same(read_back(tmp_path / "out", "coco"), config.run_dir / "seeds" / "labels")


def labelled_sheep(sample):
    label_map = np.zeros(sample.size, np.uint8)
    label_map[2:11, 1:10] = 2
    return label_map, {}
