import os
from pathlib import Path

import hypothesis
import pytest
import torch

# CI repeats the same examples, so that it never fails for what a change did not touch.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums depend on the number of threads; pipelines started by a test get one thread too."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; see data/README.md."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WSSEG_DATA", default))
    if not (folder / "msrc15").is_dir():
        pytest.skip(f"no real data in {folder}; set WSSEG_DATA")
    return folder
