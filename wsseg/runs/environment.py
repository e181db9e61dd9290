"""The environment of a run: versions, platform and commit."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wsseg

_PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "timm", "lightning", "numpy")


def environment(seed: int) -> dict[str, Any]:
    """Return versions of wsseg, Python and packages, the platform, the commit and the seed."""
    return {
        "wsseg": wsseg.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in _PACKAGES},
        "seed": seed,
    }


def _commit() -> str | None:
    """Return the commit of the checkout; None without git, or if wsseg is installed."""
    checkout = Path(wsseg.__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return found.stdout.strip() or None
