import os
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from helpers.builders import write_settings
from helpers.foundation import tiny_clip, tiny_dino, tiny_sam3
from helpers.running import wsseg
from PIL import Image

from wsseg.labelmaps import write_label_map
from wsseg.networks.params import SegmenterParams, SegmenterTrainingParams
from wsseg.networks.training_data import TrainingPair
from wsseg.synthetic.scenes import write_scenes

# CI repeats the same examples, so that it never fails for what a change did not touch.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums depend on the number of threads; pipelines started by a test get one thread too."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data sets; see data/README.md."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WSSEG_DATA", default))
    if not (folder / "msrc15").is_dir():
        pytest.skip(f"no real data in {folder}; set WSSEG_DATA")
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    pytest.importorskip("transformers")
    return tiny_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory):
    pytest.importorskip("transformers")
    return tiny_dino(tmp_path_factory.mktemp("models") / "dino")


@pytest.fixture(scope="session")
def sam3_folder(tmp_path_factory):
    pytest.importorskip("transformers")
    return tiny_sam3(tmp_path_factory.mktemp("models") / "sam3")


@pytest.fixture
def model_settings():
    return SegmenterParams(
        architecture="Unet",
        encoder="tu-mobilenetv3_small_050",
        weights=None,
        decoder_kwargs={"decoder_channels": [32, 16, 16, 8, 8]},
    )


@pytest.fixture
def trainer_settings():
    return SegmenterTrainingParams(steps=6, batch_size=4, crop=(32, 32), decoder_lr=1e-2)


@pytest.fixture
def pairs(tmp_path):
    """Four images whose bright half is class 1."""
    random = np.random.default_rng(0)
    found = []
    for number in range(4):
        labels = np.zeros((40, 48), np.uint8)
        labels[:, 24:] = 1
        image = random.integers(0, 60, (40, 48, 3)) + 190 * labels[..., None]
        pair = TrainingPair(tmp_path / f"{number}.png", tmp_path / f"{number}-labels.png")
        Image.fromarray(image.astype(np.uint8)).save(pair.image)
        write_label_map(pair.label_map, labels)
        found.append(pair)
    return found


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=6, val=3, seed=0, sides=(48, 64))
    with unchanged(folder):
        yield folder


@pytest.fixture(scope="session")
def config_file(tmp_path_factory):
    return write_settings(
        tmp_path_factory.mktemp("configs") / "tiny.yaml",
        seeds={"name": "box"},
        machine={"checkpoint_every": 4},
        trainer={"steps": 12},
        rounds={"count": 2},
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory, scenes, config_file):
    """A finished boxes run, shared by all tests of a process: copy it before you change it."""
    folder = tmp_path_factory.mktemp("runs") / "boxes"
    assert wsseg("run", config_file, f"run_dir={folder}", f"data.root={scenes}") == 0
    with unchanged(folder):
        yield folder


@contextmanager
def unchanged(folder):
    """Check that no test has changed a shared folder, which fails others that run after it."""
    before = contents(folder)
    yield
    after = contents(folder)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    assert not changed, f"a test changed {folder}: {changed}"


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
