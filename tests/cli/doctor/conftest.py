import pytest

from wsseg.runs.config import load_config


@pytest.fixture
def configured(config_file, scenes, tmp_path):
    """Settings of a tiny run that nobody has begun, and overrides of them."""
    places = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}"]
    return lambda *overrides: load_config(config_file, [*places, *overrides])
