import numpy as np
import pytest
from helpers.sam import write_tiny_sam
from PIL import Image

from wsseg.errors import InputError
from wsseg.foundation.params import SamParams
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map
from wsseg.stages import refining
from wsseg.stages.refining import refine_labels
from wsseg.synthetic.scenes import write_scenes


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(root, train=3, val=1, seed=0)
    return root


@pytest.fixture
def places(data, tmp_path):
    """Label maps with one class shifted by three pixels, images, and a folder to write to."""
    labels = tmp_path / "labels"
    for path in (data / "SegmentationClass").glob("*.png"):
        write_label_map(labels / path.name, np.roll(read_label_map(path), 3, axis=1))
    return labels, data / "JPEGImages", tmp_path / "out"


def read_all(folder):
    return {path.name: read_label_map(path) for path in sorted(folder.glob("*.png"))}


def iou_with(truth, maps):
    shared = sum(((maps[n] == t) & (t > 0)).sum() for n, t in truth.items())
    union = sum(((maps[n] > 0) | (t > 0)).sum() for n, t in truth.items())
    return shared / union


def test_label_maps_of_other_programs_become_better(data, places):
    labels, _, out = places
    assert refine_labels(*places, name="par") == 0
    truth = read_all(data / "SegmentationClass")
    assert iou_with(truth, read_all(out)) > iou_with(truth, read_all(labels))


def test_by_sam_and_within_boxes(data, places, tmp_path):
    sam = SamParams(model=str(write_tiny_sam(tmp_path / "sam", 2)))
    assert refine_labels(*places, name="sam", params=sam, dataset=data) == 0
    after = read_all(places[2])
    truth = read_all(data / "SegmentationClass")
    for name, label_map in after.items():
        rows, columns = np.nonzero(truth[name])
        outside = np.ones(label_map.shape, bool)
        outside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = False
        assert (label_map[outside] == 0).all()


def test_ignored_pixels_and_sizes_stay(places):
    labels, _, out = places
    path = sorted(labels.iterdir())[0]
    before = read_label_map(path).copy()
    before[:7] = IGNORE
    write_label_map(path, before)
    refine_labels(*places, name="par")
    after = read_label_map(out / path.name)
    assert ((after == IGNORE) == (before == IGNORE)).all()


def test_an_interrupted_call_continues_and_other_arguments_are_refused(places):
    labels, images, out = places
    refine_labels(*places, name="par")
    first, second = sorted(out.glob("*.png"))[:2]
    kept = first.stat().st_mtime_ns
    second.unlink()
    refine_labels(*places, name="par")
    assert second.exists()
    assert first.stat().st_mtime_ns == kept
    with pytest.raises(InputError, match="refined from other files or in another way"):
        refine_labels(labels, images, out, name="pamr")


def test_a_label_map_that_does_not_fit_its_image_is_skipped(places, capfd):
    labels, _, out = places
    paths = sorted(labels.iterdir())
    write_label_map(paths[0], np.zeros((5, 5), np.uint8))
    paths[1].write_bytes(b"no image")
    assert refine_labels(*places, name="par") == 2
    text = capfd.readouterr().err
    assert "must be of the size of its image" in text
    assert len(read_all(out)) == 2


def test_folders_without_pairs_are_errors(places, tmp_path):
    labels, images, out = places
    with pytest.raises(InputError, match="is no folder"):
        refine_labels(tmp_path / "none", images, out, name="par")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="none with an image of its name"):
        refine_labels(labels, tmp_path / "empty", out, name="par")
    assert not out.exists()


def test_if_nothing_can_be_refined_the_call_fails(places):
    labels, _, out = places
    for path in labels.iterdir():
        write_label_map(path, np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match=r"No label map could be refined: .* of the size of its"):
        refine_labels(*places, name="par")
    assert not read_all(out)


def test_a_label_map_without_a_label_stays(places):
    labels, _, out = places
    path = sorted(labels.iterdir())[0]
    write_label_map(path, np.full(read_label_map(path).shape, IGNORE, np.uint8))
    refine_labels(*places, name="par")
    assert (read_label_map(out / path.name) == IGNORE).all()


def test_arguments_that_contradict_each_other_are_refused(places, tmp_path):
    labels, images, _ = places
    with pytest.raises(InputError, match=r"OUT .* lies in .*; choose a folder beside it"):
        refine_labels(labels, images, labels / "out", name="par")
    with pytest.raises(InputError, match="need --with sam"):
        refine_labels(*places, name="par", params=SamParams(model="x"))
    write_scenes(tmp_path / "foreign", train=1, val=1, seed=0)
    for path in (tmp_path / "foreign").rglob("*-0000.*"):
        path.rename(path.with_name("x" + path.name))
    for path in (tmp_path / "foreign" / "ImageSets").rglob("*.txt"):
        path.write_text(path.read_text().replace("train-", "xtrain-").replace("val-", "xval-"))
    with pytest.raises(InputError, match="has none of the images"):
        refine_labels(*places, name="par", dataset=tmp_path / "foreign")


def test_on_a_gpu_threads_share_one_model(places, tmp_path, monkeypatch):
    """Pretend that there is a GPU: the stages choose threads, the model stays on the CPU."""
    sam = SamParams(model=str(write_tiny_sam(tmp_path / "sam", 2)), batch_size=3)
    refine_labels(*places, name="sam", params=sam)
    alone = read_all(places[2])
    monkeypatch.setattr("wsseg.stages.foundation.device_of", lambda _device: "cuda")
    monkeypatch.setattr(refining, "map_locally", None)
    together = tmp_path / "together"
    refine_labels(*places[:2], together, name="sam", params=sam)
    for name, label_map in read_all(together).items():
        assert (label_map == alone[name]).mean() > 0.99


def test_the_image_and_the_label_map_may_share_a_folder(tmp_path):
    folder = tmp_path / "both"
    folder.mkdir()
    Image.new("RGB", (20, 16), (90, 90, 90)).save(folder / "a.jpg")
    write_label_map(folder / "a.png", np.ones((16, 20), np.uint8))
    refine_labels(folder, folder, tmp_path / "out", name="par")
    assert (tmp_path / "out" / "a.png").exists()
