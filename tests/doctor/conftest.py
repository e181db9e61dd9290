from collections.abc import Callable
from pathlib import Path

import pytest

from wsseg.run.config import load_config
from wsseg.run.settings import Config


@pytest.fixture
def configured(config_file: Path, scenes: Path, tmp_path: Path) -> Callable[..., Config]:
    """Settings of a tiny run that nobody has begun, and overrides of them."""
    places = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}"]
    return lambda *overrides: load_config(config_file, [*places, *overrides])
