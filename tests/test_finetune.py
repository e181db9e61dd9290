"""The finetune pipeline from the command line: weak labels, a few masks, and both together."""

import json
from pathlib import Path

import numpy as np
import pytest
from running import wsseg

from wsseg.annotations.scenes import write_scenes
from wsseg.labels import IGNORE, read_label_map
from wsseg.segmenter.prediction import load_segmenter

SETTINGS = """
pipeline: {pipeline}
run_dir: unset
workers: 1
data: {{format: voc, root: {folder}/scenes}}
seeds: {{name: box}}
crf: {{iterations: 2}}
model:
  architecture: Unet
  encoder: tu-mobilenetv3_small_050
  weights: null
  decoder_kwargs: {{decoder_channels: [32, 16, 16, 8, 8]}}
trainer:
  steps: 24
  batch_size: 4
  crop: [48, 48]
  checkpoint_every: 3
  decoder_lr: 3.0e-3
  accelerator: cpu
prediction: {{scales: [1.0], flip: false}}
rounds: {{count: 2, refiner: none}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, a finished run on their boxes, and a list of three images whose masks are given."""
    folder = tmp_path_factory.mktemp("finetune")
    write_scenes(folder / "scenes", train=9, val=3, seed=0, sides=(48, 64))
    for name in ("boxes", "finetune"):
        (folder / f"{name}.yaml").write_text(SETTINGS.format(pipeline=name, folder=folder))
    assert wsseg("run", folder / "boxes.yaml", f"run_dir={folder}/base") == 0
    (folder / "masks.txt").write_text("\n".join(names(folder)[:3]) + "\n")
    return folder


def names(folder: Path) -> list[str]:
    return (folder / "scenes/ImageSets/Segmentation/train.txt").read_text().split()


def run(folder: Path, name: str, *overrides: str, base: bool = True) -> Path:
    given = [f"data.masks={folder}/masks.txt", *([f"finetune.base={folder}/base"] * base)]
    out = folder / name
    assert wsseg("run", folder / "finetune.yaml", f"run_dir={out}", *given, *overrides) == 0
    return out


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "report" / "summary.json").read_text())


@pytest.mark.parametrize("method", ["augment", "pretrain", "semi"])
def test_each_method_ends_with_a_network_labels_and_what_they_were_worth(
    folder: Path, method: str
) -> None:
    done = run(folder, method, f"finetune.method={method}")
    load_segmenter(done / "finetuned/model/model.ckpt")
    worth = summary(done)["masks"]
    assert worth["images"] == 3
    assert worth["method"] == method
    assert set(worth["val_miou"]) == {"base", "masks-only", "finetuned"}
    assert all(0 <= value <= 1 for value in worth["val_miou"].values())
    assert worth["reliability"]


def test_masks_are_the_labels_of_their_images_at_every_stage(folder: Path) -> None:
    done = run(folder, "augment", "finetune.method=augment")
    for name in names(folder)[:3]:
        mask = read_label_map(folder / f"scenes/SegmentationClass/{name}.png")
        known = mask != IGNORE
        for stage in ("masks", "filtered", "finetuned"):
            found = read_label_map(done / stage / "labels" / f"{name}.png")
            np.testing.assert_array_equal(found[known], mask[known])
