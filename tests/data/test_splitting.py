import json
import random

import numpy as np
import pytest
from helpers.builders import write
from helpers.formats import FORMATS, encoded, image_bytes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import wsseg
from wsseg.data.check import check_dataset
from wsseg.data.formats.table import read_raw
from wsseg.data.load import prepare, read_weak
from wsseg.data.params import DataParams
from wsseg.data.splitting import divide, fold_ids, stratify
from wsseg.data.truth import load
from wsseg.errors import InputError


def one_hot(labels, n_classes):
    return np.eye(n_classes, dtype=bool)[np.array(labels)]


def table(root, rows, name="train"):
    """A data set of tags: ``rows`` gives the tags of each image."""
    for id in rows:
        write(root / "images" / f"{id}.png", image_bytes())
    write(root / f"{name}.csv", "image,tags\n" + "".join(f"{i}.png,{t}\n" for i, t in rows.items()))
    return root


def held_out(root, **values):
    dataset = read_weak(DataParams(root=root, split=0.2, **values))
    return {sample.id for sample in dataset.split("val")}


def test_the_classes_of_a_small_data_set_are_balanced():
    shows = np.concatenate([one_hot([0] * 40, 3), one_hot([1] * 20, 3), one_hot([2] * 2, 3)])
    result = divide(shows, [f"{n}" for n in range(62)], 0.25)
    assert shows[result].sum(axis=0).tolist() == [10, 5, 1]


def test_images_without_objects_are_balanced_too():
    shows = np.concatenate([one_hot([0] * 10, 1), np.zeros((10, 1), bool)])
    result = divide(shows, [f"{n}" for n in range(20)], 0.2)
    assert (result[:10].sum(), result[10:].sum()) == (2, 2)


def test_classes_that_only_occur_with_rarer_ones_are_on_both_sides():
    # "c" is in two images, each of which has a class of its own that wants to be trained on.
    shows = np.array([[1, 0, 1], [0, 1, 1], *[[0, 0, 0]] * 8], bool)
    result = divide(shows, [f"{n}" for n in range(10)], 0.2)
    assert shows[result].any(axis=0)[2] and shows[~result].any(axis=0)[2]


@given(
    data=st.data(),
    n=st.integers(2, 30),
    n_classes=st.integers(1, 5),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_invariants_of_a_division(data, n, n_classes, share, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    shows = one_hot(labels, n_classes)
    names = data.draw(st.lists(st.text("abc", max_size=2), min_size=n, max_size=n))
    if len({*names}) < 2:
        return
    result = divide(shows, names, share)
    assert 0 < result.sum() < n
    sides = {name: {bool(result[i]) for i in range(n) if names[i] == name} for name in names}
    assert all(len(side) == 1 for side in sides.values())
    order = rng.permutation(n)
    again = divide(shows[order], [names[i] for i in order], share)
    assert np.array_equal(again, result[order])


@given(labels=st.lists(st.integers(0, 3), min_size=2, max_size=40), share=st.floats(0.05, 0.95))
def test_each_class_of_two_images_is_on_both_sides(labels, share):
    shows = one_hot(labels, 4)
    result = divide(shows, [f"{n}" for n in range(len(labels))], share)
    for shown in shows.T:
        if shown.sum() > 1:
            assert {*result[shown].tolist()} == {True, False}


def test_the_split_does_not_depend_on_the_order_of_files_or_on_other_settings(tmp_path):
    rows = {f"i{n}": ("cow", "sheep")[n % 2] for n in range(20)}
    one = held_out(table(tmp_path / "one", rows))
    shuffled = list(rows.items())
    random.Random(1).shuffle(shuffled)
    other = table(tmp_path / "other", dict(shuffled))
    assert len(one) == 4
    assert held_out(other) == one
    assert held_out(other, weak="none") == one
    loaded = load(DataParams(root=other, split=0.2))
    assert {s.id for s in loaded.truth.samples("val")} == one
    report = check_dataset(DataParams(root=other, split=0.2), workers=1)
    assert [(s.name, s.images, s.tagged) for s in report.splits] == [
        ("train", 16, (0, 8, 8)),
        ("val", 4, (0, 2, 2)),
    ]
    dataset = wsseg.load_dataset(other, split=0.2)
    assert {s.id for s in dataset.split("val")} == one


def test_the_only_split_is_divided_whatever_its_name(tmp_path):
    root = table(tmp_path, {f"i{n}": "cow" for n in range(10)}, name="tags")
    dataset = read_weak(DataParams(root=root, split=0.3))
    assert (len(dataset.split("train")), len(dataset.split("val"))) == (7, 3)


def test_of_several_splits_that_to_train_on_is_divided(tmp_path):
    root = table(tmp_path, {f"i{n}": "cow" for n in range(10)})
    table(root, {f"t{n}": "cow" for n in range(4)}, name="test")
    dataset = read_weak(DataParams(root=root, split=0.2))
    assert {s.id[0] for s in dataset.samples} == {"i"}
    assert len(dataset.split("val")) == 2
    dataset = read_weak(DataParams(root=root, split=0.5, train="test"))
    assert {s.id[0] for s in dataset.samples} == {"t"}
    with pytest.raises(InputError, match=r"known: test, train; set data\.train"):
        read_weak(DataParams(root=root, split=0.2, train="practice"))


@pytest.mark.parametrize("own", ["val", "valid"])
def test_a_validation_split_of_the_data_set_is_not_replaced(tmp_path, own):
    root = table(tmp_path, {f"i{n}": "cow" for n in range(10)})
    table(root, {"v": "cow"}, name=own)
    with pytest.raises(InputError, match=f"has a validation split '{own}'; leave data.split out"):
        read_weak(DataParams(root=root, split=0.2))
    dataset = read_weak(DataParams(root=root, split=0.2, val="held-out"))
    assert len(dataset.split("held-out")) == 2 and len(dataset.split("train")) == 8


def test_groups_by_a_pattern_stay_together(tmp_path):
    rows = {f"clip{clip}_{frame}": "cow" for clip in range(5) for frame in range(4)}
    root = table(tmp_path, rows)
    ids = held_out(root, group=r"^(.*)_\d+$")
    assert len(ids) == 4 and len({id.split("_")[0] for id in ids}) == 1
    whole = held_out(root, group=r"^clip\d")
    assert len({id.split("_")[0] for id in whole}) == 1


def test_an_image_without_a_group_is_one_of_its_own(tmp_path):
    rows = {**{f"a_{n}": "cow" for n in range(6)}, "b": "cow", "c": "cow"}
    assert held_out(table(tmp_path, rows), group=r"^(a)_") <= {"b", "c"}


def test_near_duplicates_stay_together(tmp_path):
    rng = np.random.default_rng(0)
    root = table(tmp_path, {f"i{n}{copy}": "cow" for n in range(6) for copy in "ab"})
    for n in range(6):
        coarse = Image.fromarray(rng.integers(0, 255, (8, 9), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((90, 80), Image.Resampling.NEAREST)).astype(int)
        for copy, noise in (("a", 0), ("b", rng.integers(-9, 9, pixels.shape))):
            image = Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
            write(root / "images" / f"i{n}{copy}.png", encoded(image))
    ids = held_out(root, group="similar")
    assert ids and {id[:2] + copy for id in ids for copy in "ab"} == ids


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("^clip", "found in ids of images, got 'i0'"),
        ("i", "two groups of images, got one group of 4 images"),
    ],
)
def test_patterns_that_divide_nothing_are_refused(tmp_path, group, message):
    root = table(tmp_path, {f"i{n}": "cow" for n in range(4)})
    with pytest.raises(InputError, match=message):
        held_out(root, group=group)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": 0}, "greater than 0"),
        ({"split": 1}, "less than 1"),
        ({"split": 0.2, "val": None}, "null where data.val is null"),
        ({"group": "similar"}, "null unless data.split is set"),
        ({"split": 0.2, "group": "("}, "a regular expression"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        DataParams(root=tmp_path, **values)


def test_masks_tell_the_classes_where_nothing_else_does(tmp_path):
    lines = [{"classes": ["background", "cow", "sheep"]}]
    for n in range(20):
        name = f"i{n}.png"
        write(tmp_path / "images" / name, image_bytes())
        mask = np.zeros((24, 32), np.uint8)
        mask[:9] = 2 if n < 3 else 1
        write(tmp_path / f"m{n}.png", encoded(Image.fromarray(mask)))
        lines.append({"image": name, "marks": [{"type": "mask", "file": f"m{n}.png"}]})
    (tmp_path / "m19.png").write_bytes(b"damaged")
    write(tmp_path / "train.jsonl", "\n".join(map(json.dumps, lines)))
    raw = prepare(read_raw(tmp_path), DataParams(root=tmp_path, split=0.2))
    ids = {entry.sample.id for entry in raw.samples if entry.sample.split == "val"}
    assert len(ids & {"i0", "i1", "i2"}) == 1 and len(ids) == 4


def test_files_that_are_laid_over_need_not_know_the_new_split(tmp_path):
    root = table(tmp_path / "set", {f"i{n}": "cow" for n in range(10)})
    (held, *_) = sorted(held_out(root))
    mark = {"type": "point", "class": "cow", "points": [[3, 3]]}
    write(tmp_path / "p.jsonl", {"image": f"{held}.png", "split": "train", "marks": [mark]})
    dataset = read_weak(DataParams(root=root, split=0.2, annotations=[tmp_path / "p.jsonl"]))
    assert [s.id for s in dataset.split("val") if s.strokes] == [held]
    assert dataset.problems == ()


def test_a_folder_of_masks_that_is_laid_over_need_not_know_the_new_split(tmp_path):
    made = FORMATS["voc"]()
    root = made.write(tmp_path / "set")
    data = DataParams(root=root, weak="boxes", split=0.5, annotations=[root])
    dataset = read_weak(data)
    assert {sample.split for sample in dataset.samples} == {"train", "val"}
    assert [s.id for s in dataset.samples if len(s.annotations) == 2] == ["a"]


def listed(root, ids, **values):
    """The data set of which a file lists the images to hold out."""
    path = write(root / "ids.txt", "".join(f"{id}\n" for id in ids))
    return DataParams(root=root / "set", held_out=path, **values)


def in_two_splits(root):
    """Three images of a split "train" and three of a split "val"."""
    table(root / "set", {f"t{n}": "cow" for n in range(3)})
    table(root / "set", {f"v{n}": "cow" for n in range(3)}, name="val")
    return root


def test_listed_images_of_both_splits_are_held_out(tmp_path):
    data = listed(in_two_splits(tmp_path), ["t1", "v2"])
    dataset = read_weak(data)
    assert {s.id for s in dataset.split("val")} == {"t1", "v2"}
    assert {s.id for s in dataset.split("train")} == {"t0", "t2", "v0", "v1"}
    assert {s.id for s in load(data).truth.samples("val")} == {"t1", "v2"}
    mark = {"type": "point", "class": "cow", "points": [[3, 3]]}
    write(tmp_path / "p.jsonl", {"image": "v0.png", "split": "val", "marks": [mark]})
    marked = read_weak(listed(tmp_path, ["t1"], annotations=[tmp_path / "p.jsonl"]))
    assert [s.id for s in marked.split("train") if s.strokes] == ["v0"]


def test_listed_images_of_the_only_split_are_held_out(tmp_path):
    table(tmp_path / "set", {f"i{n}": "cow" for n in range(4)}, name="tags")
    dataset = read_weak(listed(tmp_path, ["i2"]))
    assert [s.id for s in dataset.split("val")] == ["i2"]
    assert len(dataset.split("train")) == 3


def test_other_splits_are_not_used_for_folds(tmp_path):
    in_two_splits(tmp_path)
    table(tmp_path / "set", {"x": "cow"}, name="test")
    assert {s.id for s in read_weak(listed(tmp_path, ["t0"])).samples} == {
        *("t0", "t1", "t2", "v0", "v1", "v2")
    }
    with pytest.raises(InputError, match=r"ids.txt must be made of images of .*'train'.*got 'x'"):
        read_weak(listed(tmp_path, ["x"]))


def test_an_id_of_both_splits_cannot_be_held_out(tmp_path):
    in_two_splits(tmp_path)
    table(tmp_path / "set", {"t0": "cow"}, name="val")
    with pytest.raises(InputError, match="'t0' in both"):
        read_weak(listed(tmp_path, ["t1"]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": 0.2}, "null where data.split is set"),
        ({"val": None}, "null where data.val is null"),
    ],
)
def test_a_list_of_held_out_images_is_refused_beside_other_divisions(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        DataParams(root=tmp_path, held_out=tmp_path / "ids.txt", **values)


def test_folds_are_balanced_and_do_not_depend_on_the_order_of_files(tmp_path):
    rows = {f"i{n}": ("cow", "cow", "sheep")[n % 3] for n in range(24)}
    shuffled = list(rows.items())
    random.Random(1).shuffle(shuffled)
    folds = fold_ids(read_raw(table(tmp_path / "one", rows)), "train", "val", 4)
    assert fold_ids(read_raw(table(tmp_path / "other", dict(shuffled))), "train", "val", 4) == folds
    assert sorted(id for fold in folds for id in fold) == sorted(rows)
    for fold in folds:
        assert [rows[id] for id in fold].count("sheep") == 2 and len(fold) == 6
    assert len(fold_ids(read_raw(tmp_path / "one"), "train", "val", 24)) == 24
    with pytest.raises(InputError, match="number of folds must be from 2 to 24"):
        fold_ids(read_raw(tmp_path / "one"), "train", "val", 25)


@given(
    labels=st.lists(st.integers(0, 3), min_size=2, max_size=40),
    count=st.integers(2, 6),
)
def test_each_class_is_in_as_many_folds_as_possible(labels, count):
    parts = stratify(
        one_hot(labels, 4), [f"{n}" for n in range(len(labels))], np.full(count, 1 / count)
    )
    for label in {*labels}:
        of_class = parts[np.array(labels) == label]
        assert len({*of_class.tolist()}) == min(count, len(of_class))
        sizes = np.bincount(of_class, minlength=count)
        assert sizes.max() - sizes.min() <= 1
    assert len({*parts.tolist()}) == min(count, len(labels))
