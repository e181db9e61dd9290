import pytest
from helpers.builders import write, write_image
from helpers.formats import FORMATS, image_bytes, voc_xml
from helpers.running import wsseg

from wsseg.data.formats.table import read_dataset
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.data.split_names import matching_split
from wsseg.data.truth import load
from wsseg.errors import InputError


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("val", ["train", "valid"], "valid"),
        ("val", ["train", "validation"], "validation"),
        ("val", ["Train", "Val"], "Val"),
        ("train", ["training"], "training"),
        ("val", ["val", "valid"], "val"),
        ("val", ["valid", "validation"], "val"),  # which of them is not clear
        ("val", ["train", "test"], "val"),
        ("holdout", ["HOLDOUT"], "HOLDOUT"),
        ("train", [], "train"),
    ],
)
def test_the_split_that_a_name_means(name, known, meant):
    assert matching_split(name, known) == meant


def folders(root, *splits):
    for split in splits:
        for name in ("cow", "sheep"):
            write(root / split / name / f"{split}-{name}.png", image_bytes())
    return root


def test_a_run_uses_a_split_named_valid_and_calls_it_val(tmp_path):
    root = folders(tmp_path / "set", "training", "valid", "test")
    data = load(DataParams(root=root))
    assert {s.split for s in data.dataset.samples} == {"train", "val"}
    assert [s.id for s in data.dataset.split("val")] == ["cow/valid-cow", "sheep/valid-sheep"]
    assert [s.id for s in data.truth.samples("train")] == [
        "cow/training-cow",
        "sheep/training-sheep",
    ]
    assert {s.split for s in read_dataset(root, use="tags").samples} == {
        "training",
        "valid",
        "test",
    }


def test_voc_lists_may_be_named_valid(tmp_path):
    root = FORMATS["voc"]().write(tmp_path / "set", {"ImageSets/Segmentation/valid.txt": b"b\n"})
    write(root / "ImageSets/Segmentation/train.txt", "a\n")
    dataset = read_weak(DataParams(root=root, weak="boxes"))
    assert [(s.id, s.split, len(s.boxes)) for s in dataset.samples] == [
        ("a", "train", 1),
        ("b", "val", 1),
    ]


def test_a_file_that_is_laid_over_may_name_the_split_valid(tmp_path):
    root = folders(tmp_path / "set", "train", "valid")
    mark = {"type": "point", "class": "cow", "points": [[3, 3]]}
    write(tmp_path / "p.jsonl", {"image": "cow/valid-cow.png", "split": "valid", "marks": [mark]})
    dataset = read_weak(DataParams(root=root, annotations=[tmp_path / "p.jsonl"]))
    assert [s.id for s in dataset.samples if s.strokes] == ["cow/valid-cow"]
    assert dataset.problems == ()


@pytest.mark.parametrize("format", ["voc", "coco", "yolo", "labelme", "folders"])
def test_a_missing_validation_split_is_refused_with_the_settings_that_help(tmp_path, format):
    made = FORMATS[format]()
    if format == "yolo":
        made = {**made.files, "data.yaml": b"path: .\ntrain: images/train\nnames: [cow, sheep]\n"}
        for name, content in made.items():
            write(tmp_path / name, content)
    else:
        made.write(tmp_path)
    with pytest.raises(InputError, match="split 'val' must be") as caught:
        read_weak(DataParams(root=tmp_path))
    hint = "known: train; set data.split=0.2 to hold out a fifth of 'train' as 'val', data.val to"
    assert caught.value.remedy == f"{hint} another split, or data.val=null"


@pytest.mark.parametrize("only", ["val", "test"])
def test_a_data_set_with_another_split_only_says_what_to_set(tmp_path, only):
    root = folders(tmp_path / "set", only)
    with pytest.raises(InputError, match="split 'train'") as caught:
        read_weak(DataParams(root=root))
    hint = f"known: {only}; set data.split=0.2 to divide it, or data.train={only} data.val=null"
    assert caught.value.remedy == hint
    assert len(read_weak(DataParams(root=root, train=only, val=None)).samples) == 2


def test_several_other_splits_are_named(tmp_path):
    root = folders(tmp_path / "set", "test", "valid")
    with pytest.raises(InputError, match=r"set data\.train and data.val to two of them"):
        read_weak(DataParams(root=root))


def test_a_run_never_measures_on_what_it_trained_on(tmp_path, capfd):
    for values in ({"train": "val"}, {"train": "val", "val": "val"}, {"train": "a", "val": "a"}):
        with pytest.raises(InputError, match=r"another split than data\.train, or null"):
            DataParams(root=tmp_path, **values)
    config = write(tmp_path / "c.yaml", f"run_dir: {tmp_path}/run\ndata: {{root: x, train: val}}\n")
    assert wsseg("config", config) == 2
    assert "data.val in" in capfd.readouterr().err


def test_roboflow_voc_is_used_as_it_is(tmp_path):
    """XML beside the images in train/ and valid/; skipped until that layout is read."""
    for split in ("train", "valid"):
        write_image(tmp_path / "set" / split / f"{split}0.jpg", (24, 32))
        write(tmp_path / "set" / split / f"{split}0.xml", voc_xml(f"{split}0.jpg"))
    try:
        dataset = read_weak(DataParams(root=tmp_path / "set"))
    except InputError as error:
        if "data set with one of" in str(error):
            pytest.skip("the layout of Roboflow's VOC is not read")
        raise
    assert sorted((s.id, s.split) for s in dataset.samples) == [
        ("train0", "train"),
        ("valid0", "val"),
    ]
