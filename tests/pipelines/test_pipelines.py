"""Every pipeline from the command line, on scenes small enough for one CPU core."""

import json
import shutil

import numpy as np
import pytest
from helpers.running import hashes, wsseg
from PIL import Image

from wsseg.cleaning import clean
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.table import read_dataset
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map


def test_summary_and_report(finished):
    summary = json.loads((finished / "report" / "summary.json").read_text())
    names = [stage["name"] for stage in summary["stages"]]
    assert names == ["seeds", "round-1", "round-2"]
    assert summary["classes"][0] == "background" and summary["seed"] == 0
    for stage in summary["stages"]:
        assert 0 < stage["label_miou"] <= stage["label_miou_covered"] <= 1
        assert 0 < stage["coverage"] <= 1 and stage["seconds"] > 0
    assert summary["val_miou"] == summary["stages"][-1]["val_miou"]
    assert "resets" in summary["stages"][1] and "resets" not in summary["stages"][0]
    page = (finished / "report" / "index.html").read_text()
    assert "round-2" in page and "https://" not in page.split("<body")[1].split("<script")[0]


@pytest.mark.parametrize(
    "refiner",
    [["rounds.refiner=par"], ["crf.backend=torch", "machine.workers=2"], ["crf.scale=0.5"]],
)
def test_another_refiner_redoes_the_labels_only(finished, scenes, config_file, tmp_path, refiner):
    run = shutil.copytree(finished, tmp_path / "run")
    before = hashes(run)
    model = (run / "round-1" / "model" / "model.ckpt").stat().st_mtime_ns
    arguments = [f"run_dir={run}", f"data.root={scenes}", "rounds.count=1", *refiner]
    assert wsseg("run", config_file, *arguments) == 0
    assert (run / "round-1" / "model" / "model.ckpt").stat().st_mtime_ns == model
    after = hashes(run)
    changed = {name.rsplit("/", 2)[0] for name in before if before[name] != after[name]}
    assert changed <= {"round-1"}
    for sample in read_dataset(scenes, "voc", ["train"]).samples:
        labels = read_label_map(run / "round-1" / "labels" / f"{sample.id}.png")
        assert constraints_of(sample, 6).allows(labels).all()


def test_a_refiner_counts_half_in_the_first_round_and_less_later(
    finished, scenes, config_file, tmp_path, monkeypatch
):
    weights = []

    def recorded(*arguments, refined_weight):
        weights.append(refined_weight)
        return clean(*arguments, refined_weight=refined_weight)

    monkeypatch.setattr("wsseg.stages.rounds.clean", recorded)
    run = shutil.copytree(finished, tmp_path / "run")
    arguments = [config_file, f"run_dir={run}", f"data.root={scenes}", "machine.workers=1"]
    assert wsseg("run", *arguments, "rounds.first_weight=0.3") == 0
    images = len(list((run / "seeds" / "labels").iterdir()))
    assert weights == [0.5] * images + [0.4] * images


def test_labels_are_palette_pngs_that_keep_to_the_boxes(finished, scenes):
    samples = read_dataset(scenes, "voc", ["train"]).samples
    assert len(samples) == 6
    for sample in samples:
        path = finished / "round-2" / "labels" / f"{sample.id}.png"
        with Image.open(path) as image:
            assert image.mode == "P"
        assert constraints_of(sample, 6).allows(read_label_map(path)).all()


def test_upper_bound_skips_damaged_images_too(scenes, config_file, tmp_path):
    data = shutil.copytree(scenes, tmp_path / "data")
    image = sorted((data / "JPEGImages").glob("train-*"))[0]
    image.write_bytes(image.read_bytes()[:300])
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={data}", "pipeline=full"]
    assert wsseg("run", config_file, *arguments) == 0
    manifest = json.loads((tmp_path / "run" / "seeds" / "manifest.json").read_text())
    assert list(manifest["results"]["skipped"]) == [image.stem]


def test_second_call_does_nothing_again(finished, scenes, config_file, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("**/*.png")}
    assert wsseg("run", config_file, f"run_dir={finished}", f"data.root={scenes}") == 0
    assert {path: path.stat().st_mtime_ns for path in finished.glob("**/*.png")} == before
    assert capsys.readouterr().err.count("up to date") == 10  # 3 of them signals


def test_changed_setting_redoes_only_what_depends_on_it(finished, scenes, config_file, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    models = {path: path.stat().st_mtime_ns for path in copy.glob("round-1/model/model.ckpt")}
    assert models
    arguments = [f"run_dir={copy}", f"data.root={scenes}", "rounds.reset_iou=0.9"]
    assert wsseg("run", config_file, *arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in models} == models
    assert hashes(copy) != hashes(finished)


def test_naive_rounds_are_predictions_as_they_are(scenes, config_file, tmp_path):
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "rounds.clean=false"]
    assert wsseg("run", config_file, *arguments, "rounds.count=1") == 0
    summary = json.loads((tmp_path / "run" / "report" / "summary.json").read_text())
    assert "resets" not in summary["stages"][1]
    assert summary["stages"][1]["coverage"] == 1


def test_upper_bound_and_comparison(
    finished,
    scenes,
    config_file,
    tmp_path,
    capsys,
):
    arguments = [f"run_dir={tmp_path / 'full'}", f"data.root={scenes}", "pipeline=full"]
    assert wsseg("run", config_file, *arguments) == 0
    summary = json.loads((tmp_path / "full" / "report" / "summary.json").read_text())
    assert [stage["name"] for stage in summary["stages"]] == ["seeds", "round-1"]
    assert "label_miou" not in summary["stages"][1]
    capsys.readouterr()
    assert wsseg("compare", finished, tmp_path / "full", "--out", tmp_path / "page") == 0
    assert "100.0" in capsys.readouterr().out
    assert (tmp_path / "page" / "index.html").exists()


def test_continuing_rounds_start_from_the_last_network(finished, scenes, config_file, tmp_path):
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "rounds.restart=false"]
    assert wsseg("run", config_file, *arguments) == 0
    first, second = hashes(finished), hashes(tmp_path / "run")
    same = {name for name in first if first[name] == second[name]}
    assert {name for name in first if name.startswith(("seeds", "round-1"))} <= same
    assert same != set(first)


def test_a_script_of_ones_own(scenes, config_file, tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def main(config):\n    print('mine', config.seed)\n")
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "seed=5"]
    assert wsseg("run", config_file, *arguments, f"pipeline={tmp_path / 'mine.py'}") == 0
    assert "mine 5" in capsys.readouterr().out


def test_damaged_images_are_skipped_or_stop_a_strict_run(scenes, config_file, tmp_path, capsys):
    data = shutil.copytree(scenes, tmp_path / "data")
    images = sorted((data / "JPEGImages").glob("train-*"))
    images[1].write_bytes(images[1].read_bytes()[:300])
    arguments = [f"data.root={data}", "rounds.count=2"]
    assert wsseg("run", config_file, f"run_dir={tmp_path / 'a'}", *arguments, "strict=true") == 2
    assert f"error: {images[1]} must be a readable image" in capsys.readouterr().err
    assert wsseg("run", config_file, f"run_dir={tmp_path / 'b'}", *arguments) == 0
    assert f"skipped {images[1].stem}" in capsys.readouterr().err
    assert images[1].stem in (tmp_path / "b" / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pipeline=boxen"], "pipeline must be one of finetune, full, weak"),
        (["data.root=/nowhere"], "/nowhere"),
        (["data.train=trian"], "trian"),
        (["seeds.name=grabcat"], "grabcut"),
        (["trainer.loss=l2"], "trainer.loss must be made of ce"),
        (["trainer.loss=gated_crf"], "with at least one of ce"),
        (["trainer.loss={ce: .inf}"], "trainer.loss.ce"),
        (["seeds.name=folder"], "seeds.folder must be set"),
        (["seeds.name=auto", "seeds.strokes=grabcat"], "seeds.strokes must be a known name"),
        (["model.architecture=Unett"], "did you mean 'Unet'"),
        (["crf.backend=cuda"], "cuda"),
        (["crf.scale=0"], "crf.scale"),
        (["rounds.refiner=pam"], "rounds.refiner"),
        (["model.weights=none.pth"], "none.pth must be a file"),
        (["trainer.zoom=[2,1]"], "the lower bound first"),
        (["data.val=train"], "another split than data.train"),
    ],
)
def test_bad_settings_are_one_line_and_exit_code_2(
    scenes,
    config_file,
    tmp_path,
    capsys,
    arguments,
    message,
):
    overrides = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", *arguments]
    assert wsseg("run", config_file, *overrides) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(error) == 1 and message in error[0]


def test_predict_writes_label_maps_and_overlays(finished, tmp_path):
    images = tmp_path / "images"
    (images / "inner").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (70, 91, 4), np.uint8)
    Image.fromarray(noise).save(images / "rgba.png")
    Image.fromarray(noise[..., 0]).save(images / "inner" / "gray.png")
    Image.fromarray(noise[:1, :1, :3]).save(images / "pixel.png")
    (images / "bad.jpg").write_bytes(b"no image")
    assert wsseg("predict", finished, images, "--out", tmp_path / "out") == 0
    labels = {
        path.relative_to(tmp_path / "out" / "labels").as_posix(): read_label_map(path).shape
        for path in (tmp_path / "out" / "labels").rglob("*.png")
    }
    assert labels == {"rgba.png": (70, 91), "inner/gray.png": (70, 91), "pixel.png": (1, 1)}
    assert (tmp_path / "out" / "overlays" / "rgba.jpg").exists()
    out = ["--out", tmp_path / "strict", "--strict"]
    assert wsseg("predict", finished, images, *out) == 2


def test_predict_takes_an_image_given_twice_once_and_refuses_nothing_but_bad_ones(
    finished, scenes, tmp_path, capsys
):
    image = scenes / "JPEGImages" / "val-0000.png"
    out = ["--out", tmp_path / "out"]
    assert wsseg("predict", finished, image, image, image.parent, *out) == 0
    assert len(list((tmp_path / "out" / "labels").glob("*.png"))) == 9
    assert wsseg("predict", finished, scenes / "labelmap.txt", *out) == 2
    assert "at least one readable image" in capsys.readouterr().err


def test_what_the_system_refuses_is_one_line_and_exit_code_1(finished, scenes, capsys):
    marker = scenes / "labelmap.txt"
    assert wsseg("compare", finished, "--out", marker / "page") == 1
    assert f"error: {marker / 'page'}: Not a directory" in capsys.readouterr().err


def test_an_interrupt_is_one_line_and_exit_code_130(
    scenes,
    config_file,
    tmp_path,
    capsys,
):
    (tmp_path / "mine.py").write_text("def main(config):\n    raise KeyboardInterrupt\n")
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}"]
    assert wsseg("run", config_file, *arguments, f"pipeline={tmp_path / 'mine.py'}") == 130
    assert capsys.readouterr().err == "interrupted; the same command continues from here\n"


def test_truth_that_cannot_be_read_is_reported_and_stops_a_strict_run(
    scenes, config_file, tmp_path, capsys
):
    data = shutil.copytree(scenes, tmp_path / "data")
    (data / "SegmentationClass" / "train-0000.png").write_bytes(b"no image")
    for mask in (data / "SegmentationClass").glob("val-*"):
        write_label_map(mask, np.full_like(read_label_map(mask), IGNORE))
    arguments = [f"data.root={data}", "rounds.count=2"]
    assert wsseg("run", config_file, f"run_dir={tmp_path / 'a'}", *arguments, "strict=true") == 2
    assert wsseg("run", config_file, f"run_dir={tmp_path / 'b'}", *arguments) == 0
    output = capsys.readouterr().err
    assert "seeds/quality: skipped train-0000" in output
    assert "round-1/val: not measured" in output
    summary = json.loads((tmp_path / "b" / "report" / "summary.json").read_text())
    assert "label_miou" in summary["stages"][0] and "val_miou" not in summary
    assert "train-0000" in (tmp_path / "b" / "report" / "index.html").read_text()


def test_labels_of_ignore_alone_are_refused(scenes, config_file, tmp_path, capsys):
    data = shutil.copytree(scenes, tmp_path / "data")
    for mask in (data / "SegmentationClass").glob("train-*"):
        write_label_map(mask, np.full_like(read_label_map(mask), IGNORE))
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={data}", "pipeline=full"]
    assert wsseg("run", config_file, *arguments) == 2
    said = capsys.readouterr().err
    assert "stage seeds must be labelled as an object in some pixel, got only IGNORE" in said


def test_a_finished_run_keeps_its_network_and_no_checkpoint(finished):
    model = finished / "round-2" / "model"
    assert (model / "model.ckpt").exists() and not (model / "checkpoint").exists()


def test_report_is_made_anew(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(copy / "report")
    assert wsseg("report", copy) == 0
    assert (copy / "report" / "index.html").exists()


@pytest.mark.parametrize("command", ["report", "compare", "predict"])
def test_commands_on_no_run(tmp_path, command):
    more = [tmp_path, "--out", tmp_path / "out"] if command == "predict" else []
    assert wsseg(command, tmp_path / "none", *more) == 2
    (tmp_path / "file.log").write_text("no run")
    assert wsseg(command, tmp_path / "file.log", *more) == 2


def test_check_names_defects(scenes, tmp_path):
    assert wsseg("check", scenes) == 0
    data = shutil.copytree(scenes, tmp_path / "data")
    next((data / "JPEGImages").glob("train-*")).write_bytes(b"no image")
    assert wsseg("check", data) == 1


def test_version(capsys):
    assert wsseg("--version") == 0
    assert capsys.readouterr().out.startswith("wsseg 0.")
