"""Import everything that a run needs, in the process from which killed runs are forked."""

import importlib.util
from pathlib import Path

import torch

import wsseg.cli.runs  # noqa: F401 - with torch and Lightning
import wsseg.networks.losses.trees  # noqa: F401 - compiled, too
import wsseg.refine.crf.native

torch.set_num_threads(1)
for script in sorted((Path(__file__).parents[2] / "pipelines").glob("*.py")):
    spec = importlib.util.spec_from_file_location(f"preloaded_{script.stem}", script)
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
wsseg.refine.crf.native.warm_up()
