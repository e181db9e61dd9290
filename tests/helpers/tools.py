"""Environments of real annotation tools, and the exports that are given to them."""

import os
from pathlib import Path

from wsseg.data.model import Classes

TOOLS = Path(os.environ.get("WSSEG_TOOLS", "build/tools")).absolute()
CLASSES = Classes(("background", "cow", "sheep"))
SIZE = (90, 120)
