from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsseg.labels import write_label_map
from wsseg.run.settings import ModelSettings, TrainerSettings
from wsseg.segmenter.data import TrainingPair


@pytest.fixture
def model_settings() -> ModelSettings:
    return ModelSettings(
        architecture="Unet",
        encoder="tu-mobilenetv3_small_050",
        weights=None,
        decoder_kwargs={"decoder_channels": [32, 16, 16, 8, 8]},
    )


@pytest.fixture
def trainer_settings() -> TrainerSettings:
    return TrainerSettings(
        steps=6, batch_size=4, crop=(32, 32), checkpoint_every=2, decoder_lr=1e-2, accelerator="cpu"
    )


@pytest.fixture
def pairs(tmp_path: Path) -> list[TrainingPair]:
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
