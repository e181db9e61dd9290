"""Tags alone from the command line, on scenes small enough for one CPU core."""

import json
import shutil
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from helpers.builders import TINY, write_settings
from helpers.running import hashes, wsseg
from PIL import Image

from wsseg import plugins
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.table import read_dataset
from wsseg.labelmaps import IGNORE, read_label_map, read_scores
from wsseg.seeds.cam import ENTRY_POINTS
from wsseg.synthetic.scenes import write_scenes

CLASSIFIER = {"trainer": TINY["trainer"]}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=8, val=4, seed=0, sides=(48, 64))
    return folder


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    return write_settings(
        tmp_path_factory.mktemp("configs") / "tiny.yaml",
        data={"weak": "tags"},
        classifier=CLASSIFIER,
        cam={"scales": [1.0], "refiner": "none"},
        rounds={"count": 1, "min_island": 0.01},
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scenes, config_file):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "tags"
    assert wsseg("run", config_file, f"run_dir={folder}", f"data.root={scenes}") == 0
    return folder


def manifest(run, stage):
    return json.loads((run / stage / "manifest.json").read_text())


def test_summary_and_report(finished):
    summary = json.loads((finished / "report" / "summary.json").read_text())
    assert [stage["name"] for stage in summary["stages"]] == ["seeds", "round-1"]
    assert "restored" in summary["stages"][1]
    assert summary["tag_precision"] and all(0 < v <= 1 for v in summary["tag_precision"].values())
    assert [len(curve) for curve in summary["thresholds"].values()] == [19, 19]
    page = (finished / "report" / "index.html").read_text()
    assert "Average precision of each tag" in page and "straight from the activation maps" in page


def test_labels_keep_to_the_tags_and_maps_are_those_of_the_tags(finished, scenes):
    for sample in read_dataset(scenes, "voc", ["train"], use="tags").samples:
        constraints = constraints_of(sample, 6)
        assert sample.tags is not None
        assert constraints.classes.tolist() == [0, *sample.tags.present]
        for stage in ("seeds", "round-1"):
            labels = read_label_map(finished / stage / "labels" / f"{sample.id}.png")
            assert labels.shape == sample.size and constraints.allows(labels).all()
        found, maps = read_scores(finished / "cams" / "scores" / f"{sample.id}.npz")
        assert tuple(found) == sample.tags.present
        assert maps.shape[1:] == tuple(-(-side // 4) for side in sample.size)


def test_second_call_does_nothing_again(finished, scenes, config_file, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("**/*.npz")}
    assert before
    assert wsseg("run", config_file, f"run_dir={finished}", f"data.root={scenes}") == 0
    assert {path: path.stat().st_mtime_ns for path in finished.glob("**/*.npz")} == before
    assert (
        capsys.readouterr().err.count("up to date") == 12
    )  # 2 of them signals, 2 of them thresholds


def test_another_threshold_redoes_no_map_and_no_classifier(finished, scenes, config_file, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    kept = {
        p: p.stat().st_mtime_ns for p in [*run.glob("[cs][ap]*/**/*"), *run.glob("classifier/*")]
    }
    arguments = [f"run_dir={run}", f"data.root={scenes}", "cam.foreground=0.6", "rounds.count=0"]
    assert wsseg("run", config_file, *arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    before, after = hashes(finished), hashes(run)
    assert any(before[name] != after[name] for name in after if name.startswith("seeds"))


def test_the_report_leaves_out_maps_that_the_seeds_are_no_longer_made_from(
    finished, scenes, config_file, tmp_path
):
    run = shutil.copytree(finished, tmp_path / "run")
    arguments = [f"run_dir={run}", f"data.root={scenes}", "cam.affinity=none", "rounds.count=0"]
    assert wsseg("run", config_file, *arguments) == 0
    assert (run / "spread" / "manifest.json").exists()
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert list(summary["thresholds"]) == ["cams"]


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
def test_gradient_methods(finished, scenes, config_file, tmp_path, method):
    run = shutil.copytree(finished, tmp_path / "run")
    arguments = [f"run_dir={run}", f"data.root={scenes}", "rounds.count=0", "cam.refiner=par"]
    assert wsseg("run", config_file, *arguments, f"cam.method={method}") == 0
    for name in ("classifier", "cams", "seeds"):
        assert manifest(run, name)["key"] != manifest(finished, name)["key"] or name == "classifier"


def test_a_learned_affinity(finished, scenes, config_file, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    arguments = [f"run_dir={run}", f"data.root={scenes}", "rounds.count=0", "cam.affinity=learned"]
    assert wsseg("run", config_file, *arguments) == 0
    assert manifest(run, "classifier") == manifest(finished, "classifier")
    assert (run / "affinity" / "model.ckpt").exists()
    for sample in read_dataset(scenes, "voc", ["train"], use="tags").samples:
        labels = read_label_map(run / "confident" / "labels" / f"{sample.id}.png")
        assert constraints_of(sample, 6).allows(labels).all()
    before, after = hashes(finished), hashes(run)
    assert any(before[name] != after[name] for name in after if name.startswith("seeds"))


def test_a_learned_affinity_needs_a_classifier(
    scenes,
    config_file,
    tmp_path,
    monkeypatch,
    capsys,
):
    plugin = EntryPoint("centre", f"{__name__}:centre", ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda _: centre)
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [plugin])
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "cam.method=centre"]
    assert wsseg("run", config_file, *arguments, "cam.affinity=learned") == 2
    assert "cam.affinity=learned needs a classifier" in capsys.readouterr().err


def test_tags_of_boxes_give_the_same_run(finished, scenes, config_file, tmp_path):
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "data.weak=boxes_as_tags"]
    assert wsseg("run", config_file, *arguments) == 0
    assert hashes(tmp_path / "run") == hashes(finished)


def test_tags_in_csv_files_give_the_same_seeds(finished, scenes, config_file, tmp_path):
    root = tmp_path / "csv"
    shutil.copytree(scenes / "JPEGImages", root / "images")
    shutil.copytree(scenes / "SegmentationClass", root / "masks")
    dataset = read_dataset(scenes, "voc", use="tags")
    (root / "classes.txt").write_text("\n".join(dataset.classes))
    for split in ("train", "val"):
        samples = [(s.image.name, s.tags) for s in dataset.split(split)]
        rows = [[name, *(dataset.classes.names[t] for t in tags.present)] for name, tags in samples]
        (root / f"{split}.csv").write_text("\n".join(",".join(row) for row in rows))
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={root}", "rounds.count=0"]
    assert wsseg("run", config_file, *arguments, "data.format=auto") == 0
    expected = {name: key for name, key in hashes(finished).items() if "seeds" in name}
    assert hashes(tmp_path / "run") == expected
    summary = json.loads((tmp_path / "run" / "report" / "summary.json").read_text())
    assert summary["stages"][0]["label_miou"] > 0


def test_folder_names_are_tags(scenes, config_file, tmp_path):
    root, run = tmp_path / "folders", tmp_path / "run"
    dataset = read_dataset(scenes, "voc", use="tags")
    for sample in dataset.samples:
        first = dataset.classes.names[sample.tags.present[0]] if sample.tags else "background"
        (root / sample.split / first).mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.image, root / sample.split / first)
    arguments = [f"run_dir={run}", f"data.root={root}", "data.format=auto", "rounds.count=1"]
    assert wsseg("run", config_file, *arguments) == 0
    assert len(list(run.glob("round-1/labels/*/*.png"))) == 8
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert "label_miou" not in summary["stages"][0] and "thresholds" not in summary


def test_a_tag_in_every_image_is_refused(scenes, config_file, tmp_path, capsys):
    data = shutil.copytree(scenes, tmp_path / "data")
    for path in data.glob("ImageSets/Main/disc_*.txt"):
        path.write_text(path.read_text().replace("-1", "1"))
    assert wsseg("run", config_file, f"run_dir={tmp_path / 'run'}", f"data.root={data}") == 2
    assert "class disc: in every tagged image of train" in capsys.readouterr().err


def test_an_untagged_image_starts_without_labels(scenes, config_file, tmp_path):
    data, run = shutil.copytree(scenes, tmp_path / "data"), tmp_path / "run"
    for path in data.glob("ImageSets/Main/*_train.txt"):
        lines = [line for line in path.read_text().splitlines() if "train-0000" not in line]
        path.write_text("\n".join(lines))
    assert wsseg("run", config_file, f"run_dir={run}", f"data.root={data}") == 0
    assert (read_label_map(run / "seeds" / "labels" / "train-0000.png") == IGNORE).all()
    assert (read_label_map(run / "round-1" / "labels" / "train-0000.png") != IGNORE).any()


def test_an_image_without_objects_is_background(scenes, config_file, tmp_path):
    data, run = shutil.copytree(scenes, tmp_path / "data"), tmp_path / "run"
    for path in data.glob("ImageSets/Main/*_train.txt"):
        lines = path.read_text().splitlines()
        changed = [f"{line.split()[0]} -1" if "train-0001" in line else line for line in lines]
        path.write_text("\n".join(changed))
    assert wsseg("run", config_file, f"run_dir={run}", f"data.root={data}") == 0
    for stage in ("seeds", "round-1"):
        assert not read_label_map(run / stage / "labels" / "train-0001.png").any()


def test_a_damaged_image_is_skipped(scenes, config_file, tmp_path):
    data = shutil.copytree(scenes, tmp_path / "data")
    for name in ("train-0002", "val-0001"):
        image = data / "JPEGImages" / f"{name}.png"
        image.write_bytes(image.read_bytes()[:300])
    assert wsseg("run", config_file, f"run_dir={tmp_path / 'run'}", f"data.root={data}") == 0
    for stage in ("classifier", "cams", "seeds", "round-1"):
        assert "train-0002" in manifest(tmp_path / "run", stage)["results"]["skipped"]
    assert len(list(tmp_path.glob("run/round-1/labels/*.png"))) == 7


def test_images_of_any_mode(scenes, config_file, tmp_path):
    data = shutil.copytree(scenes, tmp_path / "data")
    for number, mode in enumerate(("L", "RGBA", "LA", "P")):
        path = data / "JPEGImages" / f"train-000{number}.png"
        with Image.open(path) as image:
            changed = image.convert(mode)
        changed.save(path)
    sixteen = data / "JPEGImages" / "train-0004.png"
    with Image.open(sixteen) as image:
        gray = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(gray).save(sixteen)
    assert wsseg("run", config_file, f"run_dir={tmp_path / 'run'}", f"data.root={data}") == 0
    assert manifest(tmp_path / "run", "round-1")["results"]["skipped"] == {}


def centre(example, labels, classes):
    """A zero-shot seeder: everything is in the middle."""
    assert len(classes) == 6
    maps = np.zeros((len(labels), *example.image.shape[:2]), np.float32)
    maps[:, 10:-10, 10:-10] = 3
    return maps


def test_a_plugin_needs_no_classifier(scenes, config_file, tmp_path, monkeypatch):
    plugin = EntryPoint("centre", f"{__name__}:centre", ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda _: centre)
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [plugin])
    run = tmp_path / "run"
    arguments = [f"run_dir={run}", f"data.root={scenes}", "cam.method=centre", "rounds.count=0"]
    arguments.append("cam.affinity=none")
    assert wsseg("run", config_file, *arguments) == 0
    assert not (run / "classifier").exists()
    for path in run.glob("seeds/labels/*.png"):
        labels = read_label_map(path)
        assert labels[12:-12, 12:-12].all() and not labels[:9].any()
