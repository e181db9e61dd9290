"""Measure a training step in mixed precision and compiled, against plain single precision.

    python -m benchmarks.training [--steps 30] [--batch 8] [--crop 160] [--device auto]

A DeepLabV3+ on a MobileNetV2 learns generated scenes by the trainer of a run. The first step, which
compiles, is told apart; the others are the median of all but five. On a GPU 16-mixed is what
``machine.precision: auto`` takes. The peer is PyTorch's default: 32-true, not compiled.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.callbacks import Callback

from wsseg.networks.segmenter import build_network
from wsseg.networks.train import fit
from wsseg.networks.training_data import TrainingBatches, TrainingPair
from wsseg.runs.config import Config
from wsseg.stages.training import supervised
from wsseg.synthetic.scenes import CLASSES, write_scenes

_WARM_UP = 5  # steps


class Pace(NamedTuple):
    """Times of steps."""

    first: float
    step: float
    loss: float


class Stopwatch(Callback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_start(self, *_: Any) -> None:
        """Note the beginning."""
        self.ends.append(time.perf_counter())

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the end of a step."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def main() -> None:
    """Print a line for each precision, compiled or not."""
    arguments = _arguments()
    on_gpu = torch.cuda.is_available() and arguments.device != "cpu"
    precisions = ["32-true", "bf16-mixed", *(["16-mixed"] if on_gpu else [])]
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder) / "data", train=32, val=1, seed=0, sides=(200, 240))
        print(f"{'precision':12}{'compiled':>9}{'first s':>9}{'step ms':>9}{'speed':>7}{'loss':>8}")
        peer = None
        for precision in precisions:
            for compiled in (False, True):
                pace = pace_of(Path(folder), precision, compiled, arguments)
                peer = peer or pace
                cells = f"{pace.first:9.1f}{pace.step:9.0f}{peer.step / pace.step:7.2f}"
                print(f"{precision:12}{compiled!s:>9}{cells}{pace.loss:8.3f}", flush=True)


def pace_of(folder: Path, precision: str, compiled: bool, arguments: argparse.Namespace) -> Pace:
    """Train a few steps."""
    trainer = {
        "steps": arguments.steps,
        "batch_size": arguments.batch,
        "crop": [arguments.crop, arguments.crop],
        "checkpoint_every": arguments.steps + 1,
    }
    model = {"encoder": "tu-mobilenetv2_100", "weights": None}
    machine = {"device": arguments.device, "precision": precision, "compile": compiled}
    values = {
        "run_dir": folder,
        "data": {"root": folder},
        "model": model,
        "trainer": trainer,
        "machine": machine,
    }
    config = Config.model_validate(values)
    images = sorted((folder / "data" / "JPEGImages").glob("train-*.png"))
    masks = folder / "data" / "SegmentationClass"
    pairs = [TrainingPair(image, masks / image.name) for image in images]
    torch.manual_seed(0)
    training = supervised(build_network(config.model, len(CLASSES)), config)
    batches = TrainingBatches(pairs, config.model, config.trainer, seed=0)
    watch = Stopwatch()
    work = Path(tempfile.mkdtemp(dir=folder))
    losses = fit(training, batches, work, [watch], machine=config.machine)
    steps = [after - before for before, after in zip(watch.ends, watch.ends[1:], strict=False)]
    return Pace(steps[0], 1000 * statistics.median(steps[_WARM_UP:]), losses[-1])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=160)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    main()
