"""The whole of ``wsseg select``, on generated scenes and an encoder without weights."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.running import wsseg
from PIL import Image

from wsseg.errors import InputError
from wsseg.networks.checkpoints import save_network
from wsseg.networks.params import SegmenterParams
from wsseg.networks.segmenter import build_network
from wsseg.stages.selection.selecting import SelectedImage, exclusive_folders, write_lists
from wsseg.synthetic.scenes import CLASSES


@pytest.fixture
def select(scenes, tiny, tmp_path):
    def call(*arguments, out="out", budget=4):
        given = ("--config", tiny, "--workers", 1, "--budget", budget, "--out", tmp_path / out)
        return wsseg("select", scenes, *given, *arguments)

    return call


def chosen(folder):
    return (folder / "selected.txt").read_text().splitlines()


def table(folder):
    with (folder / "selected.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_lists_and_page(select, tmp_path, capsys):
    assert select() == 0
    ids, rows = chosen(tmp_path / "out"), table(tmp_path / "out")
    assert len({*ids}) == 4 and [row["id"] for row in rows] == ids
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert {*";".join(row["classes"] for row in rows).split(";")} <= {*CLASSES}
    assert rows[0]["distance"] == "" and float(rows[1]["distance"]) > 0
    assert json.loads((tmp_path / "out" / "selection.json").read_text())["budget"] == 4
    assert all(identity in (tmp_path / "out" / "index.html").read_text() for identity in ids)
    assert "4 of 8 images chosen by medoids" in capsys.readouterr().out


def test_the_same_command_gives_the_same_files_from_its_caches(select, tmp_path, capsys):
    select()
    names = ("selected.txt", "selected.csv", "index.html", "cache/embeddings/rows.npy")
    before = [(tmp_path / "out" / name).read_bytes() for name in names]
    capsys.readouterr()
    select()
    assert "embeddings: up to date" in capsys.readouterr().err
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == before


def test_labelled_images_are_not_chosen_again(select, tmp_path):
    select("--quota", 0, "--method", "k_centre", budget=6)
    first = chosen(tmp_path / "out")
    (tmp_path / "done.txt").write_text("\n".join(first[:4]))
    select(
        "--quota",
        0,
        "--method",
        "k_centre",
        "--labelled",
        tmp_path / "done.txt",
        out="more",
        budget=2,
    )
    assert chosen(tmp_path / "more") == first[4:]


def test_full_masks_that_are_laid_over_count_as_labelled(select, scenes, tmp_path):
    shutil.copytree(scenes, tmp_path / "masks")
    masks = sorted((tmp_path / "masks" / "SegmentationClass").glob("train-*.png"))
    for mask in masks[3:]:
        mask.unlink()
    select(tmp_path / "masks", out="rest", budget=5)
    assert not {*chosen(tmp_path / "rest")} & {mask.stem for mask in masks[:3]}
    assert select(tmp_path / "masks", out="rest", budget=6) == 2


def test_quotas_that_cannot_be_met_are_said(select, capsys):
    select("--quota", 50, budget=3)
    assert "of 50 images" in capsys.readouterr().out


def test_bad_images_are_skipped(select, scenes, tmp_path, capsys):
    images = sorted((scenes / "JPEGImages").glob("train-*"))
    images[0].write_bytes(images[0].read_bytes()[:200])
    Image.open(images[1]).convert("L").save(images[1])
    assert select(budget=7) == 0
    assert images[0].stem not in chosen(tmp_path / "out")
    assert images[1].stem in chosen(tmp_path / "out")
    assert select(budget=8) == 2
    assert "--budget must be at most 7" in capsys.readouterr().err


@pytest.fixture
def network(tmp_path):
    """A segmenter that learned nothing."""
    settings = SegmenterParams(
        architecture="Unet",
        encoder="tu-mobilenetv3_small_050",
        weights=None,
        decoder_kwargs={"decoder_channels": [32, 16, 16, 8, 8]},
    )
    torch.manual_seed(0)
    network = build_network(settings, len(CLASSES))
    save_network(tmp_path / "model.ckpt", "segmenter", network, settings, CLASSES)
    return tmp_path / "model.ckpt"


def test_uncertainty_of_a_network(select, network, tmp_path, capsys):
    (tmp_path / "done.txt").write_text("\n".join(f"train-{n:04d}" for n in range(5)))
    asked = ("--labelled", tmp_path / "done.txt", "--run", network, "--uncertainty")
    for _ in range(2):
        assert select(*asked, "margin", "--scales", "1", budget=2) == 0
    assert "uncertainty-margin: up to date" in capsys.readouterr().err
    assert all(0 < float(row["uncertainty"]) <= 1 for row in table(tmp_path / "out"))
    assert select(*asked, "vote_entropy", "--scales", "1,1.5", budget=2) == 0
    assert all(0 <= float(row["uncertainty"]) <= 1 for row in table(tmp_path / "out"))


def test_a_network_of_other_classes_is_refused(select, scenes, network, capsys):
    labels = scenes / "labelmap.txt"
    labels.write_text(labels.read_text().replace("hook", "anchor"))
    for file in (scenes / "Annotations").glob("*.xml"):
        file.write_text(file.read_text().replace("hook", "anchor"))
    assert select("--run", network, "--uncertainty", "margin") == 2
    assert "must be trained on the classes" in capsys.readouterr().err


def test_images_without_any_annotation(select, scenes, tmp_path, capsys):
    for file in (scenes / "Annotations").glob("*.xml"):
        file.unlink()
    for file in (scenes / "ImageSets" / "Main").glob("*_train.txt"):
        file.unlink()
    assert select() == 0
    assert "no class has a quota" in capsys.readouterr().out
    assert len(chosen(tmp_path / "out")) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "test"), "test"),
        (("--method", "best"), "--method must be 'medoids', 'k_centre' or 'random'"),
        (("--format", "zip"), "must be a known format"),
        (("--config", "none.yaml"), "no such file"),
        (("--run", "nowhere"), "nowhere"),
    ],
)
def test_what_is_wrong_is_said(select, arguments, message, capsys):
    assert select(*arguments) == 2
    assert message in capsys.readouterr().err


MINE = {"made_by": "wsseg select", "budget": 3}


def open_in(out, settings=MINE, cache=None):
    return exclusive_folders(out, cache or out / "cache", settings)


def test_a_folder_is_used_again_and_results_of_other_settings_go(tmp_path):
    out = tmp_path / "out"
    for settings, stays in ((MINE, None), (MINE, True), ({**MINE, "budget": 4}, False)):
        with open_in(out, settings):
            assert stays is None or (out / "selected.txt").exists() == stays
            assert json.loads((out / "selection.json").read_text()) == settings
        (out / "selected.txt").write_text("a\n")
        (out / "cache" / "kept").write_text("")
    assert (out / "cache" / "kept").exists()


def test_folders_of_others_are_refused_and_left_alone(tmp_path):
    foreign = tmp_path / "photos"
    (foreign / "embeddings").mkdir(parents=True)
    (foreign / "embeddings" / "mine.txt").write_text("x")
    (tmp_path / "file").write_text("")
    for out, cache in ((foreign, None), (tmp_path / "new", foreign), (tmp_path / "file", None)):
        with pytest.raises(InputError, match="choose another"), open_in(out, cache=cache):
            pass
    assert (foreign / "embeddings" / "mine.txt").exists()
    assert [path.name for path in foreign.iterdir()] == ["embeddings"]


def test_a_second_process_is_kept_out(tmp_path):
    with (
        open_in(tmp_path),
        pytest.raises(InputError, match="in use by another process"),
        open_in(tmp_path),
    ):
        pass


def test_lists(tmp_path):
    images = [
        SelectedImage(1, 'a,"b"', Path("p"), ("cow", "cat"), float("inf"), None),
        SelectedImage(2, "b", Path("q"), (), 0.25, None),
    ]
    write_lists(tmp_path, images)
    assert (tmp_path / "selected.txt").read_text() == 'a,"b"\nb\n'
    assert (tmp_path / "selected.csv").read_text().splitlines() == [
        "rank,id,path,classes,distance",
        '1,"a,""b""",p,cow;cat,',
        "2,b,q,,0.250000",
    ]
    write_lists(tmp_path, [replace(image, uncertainty=0.5) for image in images])
    assert (tmp_path / "selected.csv").read_text().splitlines() == [
        "rank,id,path,classes,distance,uncertainty",
        '1,"a,""b""",p,cow;cat,,0.500000',
        "2,b,q,,0.250000,0.500000",
    ]


@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_a_foundation_model_takes_the_place_of_the_encoder(select, tmp_path, request, kind, capsys):
    folder = request.getfixturevalue(f"{kind}_folder")
    assert select("--model", folder) == 0
    settings = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert settings["network"].startswith(f"{folder} ({kind}")
    assert f"embeddings of {folder} ({kind}" in (tmp_path / "out" / "index.html").read_text()
    assert len({*chosen(tmp_path / "out")}) == 4
    rows = (tmp_path / "out" / "cache" / "embeddings" / "rows.npy").read_bytes()
    capsys.readouterr()
    assert select("--model", folder) == 0
    assert "embeddings: up to date" in capsys.readouterr().err
    assert select() == 0
    assert (tmp_path / "out" / "cache" / "embeddings" / "rows.npy").read_bytes() != rows


def test_a_model_that_cannot_embed_images_is_refused(select, dino_folder, tmp_path, capsys):
    assert select("--model", dino_folder, "--encoder", "model") == 2
    assert "model and encoder are both set" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert select("--model", tmp_path / "empty") == 2
    assert "has no readable config.json" in capsys.readouterr().err
    (tmp_path / "empty" / "config.json").write_text('{"model_type": "bert"}')
    assert select("--model", tmp_path / "empty") == 2
    assert "must be a CLIP, DINO or SAM model" in capsys.readouterr().err
