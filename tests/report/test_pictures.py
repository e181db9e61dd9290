import numpy as np

from wsseg.data.annotation import Box
from wsseg.labelmaps import IGNORE, palette
from wsseg.report.pictures import choose_for_gallery, gallery_row, legend


def test_a_gallery_row_shows_boxes_and_labels_and_leaves_its_inputs_alone():
    image, label_map = np.full((120, 120, 3), 60, np.uint8), np.zeros((120, 120), np.uint8)
    label_map[40:80, 40:80] = 2
    row = gallery_row("a", image, (Box(2, 40, 40, 80, 80),), {"seeds": label_map})
    (first, shown), (second, labels) = row.pictures
    assert (first, second) == ("image", "seeds")
    assert shown.shape == labels.shape == (360, 360, 3)
    assert (shown[120, 180] == palette()[2]).all()
    assert (shown[180, 180] == 60).all()
    assert (labels[180, 180] == (60 + palette()[2].astype(int)) // 2).all()
    assert (image == 60).all()


def test_an_activation_map_of_any_size_is_shown_as_heat():
    image, seen = np.full((60, 120, 3), 60, np.uint8), np.zeros((15, 30), np.float32)
    seen[:, 20:] = 1
    row = gallery_row("a", image, (), {"seeds": np.zeros((60, 120), np.uint8)}, seen)
    assert [caption for caption, _ in row.pictures][1] == "activation maps"
    heat = row.pictures[1][1]
    assert heat.shape == row.pictures[0][1].shape
    assert heat[90, 300].sum() > heat[90, 30].sum() + 200
    assert (image == 60).all() and seen.max() == 1


def test_the_gallery_spans_worst_to_best():
    scores = {f"{i:02d}": i / 40 for i in range(40)}
    chosen = choose_for_gallery(scores, 12)
    assert (chosen[0], chosen[-1], len(set(chosen))) == ("00", "39", 12)
    assert chosen == sorted(chosen)
    assert choose_for_gallery(dict(reversed(scores.items())), 12) == chosen
    assert choose_for_gallery({"b": 0.5, "a": 0.5}) == ["a", "b"]
    assert choose_for_gallery({}) == []


def test_the_legend_names_every_colour_that_a_label_can_have():
    shown = {entry["name"]: entry["colour"] for entry in legend(["background", "cow", "sheep"])}
    assert list(shown) == ["cow", "sheep", "no label (ignored)"]
    assert shown["sheep"] == "#008000"
    assert shown["no label (ignored)"] == "#" + palette()[IGNORE].tobytes().hex()
