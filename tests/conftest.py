import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; see data/README.md."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WSSEG_DATA", default))
    if not (folder / "msrc15").is_dir():
        pytest.skip(f"no real data in {folder}; set WSSEG_DATA")
    return folder
