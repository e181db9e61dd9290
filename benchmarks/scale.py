"""Memory and time of a run that grows: each stage on few images and on ten times as many.

    python -m benchmarks.scale [--images 2000 20000] [--folder DIR] [--workers 2]

Scenes are generated; a hundred are different, the others are links to them under other names.
Every stage runs in a process of its own; "peak MB" is the largest of its processes, and the times
are those of the stage alone, after the same stage on a hundred images, which starts the workers.
The last column is the ratio of the second size to the first: 1.00 is memory, or time an image, that
does not depend on the size of the data set. The peer of a stage is the same stage on fewer images.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from wsseg.data.load import read_weak
from wsseg.data.truth import read_truth
from wsseg.report.run_report import report_run
from wsseg.runs.config import Config
from wsseg.runs.run import Run, open_run
from wsseg.stages.measure import measure
from wsseg.stages.rounds import clean_labels, predict_val, seed_labels, train_segmenter
from wsseg.stages.signals import inspect
from wsseg.synthetic.scenes import write_scenes

DIFFERENT = 100
SIDES = (64, 96)
NETWORK = {
    "architecture": "Unet",
    "encoder": "tu-mobilenetv3_small_050",
    "weights": None,
    "decoder_kwargs": {"decoder_channels": [32, 16, 16, 8, 8]},
}


class Cost(NamedTuple):
    """Time and memory of a stage."""

    peak: float
    milliseconds: float


def main() -> None:
    """Print a line for each stage."""
    arguments = _arguments()
    if arguments.stage:
        print(json.dumps(seconds_of(arguments.stage, arguments.folder, arguments.workers)))
        return
    found: dict[int, dict[str, Cost]] = {}
    for count in arguments.images:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            generate(Path(folder) / "warm", DIFFERENT)
            generate(Path(folder), count)
            found[count] = {
                stage: cost_of(stage, Path(folder), count, arguments.workers) for stage in STAGES
            }
            print(f"{count} images: done", file=sys.stderr, flush=True)
    _print_table(found)


def generate(folder: Path, count: int) -> None:
    """Write a data set whose images are links to a few."""
    data = folder / "data"
    write_scenes(data, train=DIFFERENT, val=DIFFERENT, seed=0, sides=SIDES)
    files: dict[str, list[Path]] = {}
    for path in data.glob("*/*.*"):
        files.setdefault(path.stem, []).append(path)
    for split in ("train", "val"):
        names = [f"{split}-{number:04d}" for number in range(DIFFERENT)]
        copies = {f"{split}-copy-{n:06d}": names[n % DIFFERENT] for n in range(DIFFERENT, count)}
        for copy, name in copies.items():
            for path in files[name]:
                path.with_name(f"{copy}{path.suffix}").hardlink_to(path)
        for lists in (data / "ImageSets").glob(f"*/{split}.txt"):
            lists.write_text("".join(f"{name}\n" for name in [*names, *copies]))


def cost_of(stage: str, folder: Path, count: int, workers: int) -> Cost:
    """Run a stage in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--stage", stage, "--folder", str(folder)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--workers", str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=one_thread,
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"stage {stage} of {count} images failed; run it alone: {command}")
    return Cost(usage.ru_maxrss / 1024, 1000 * json.loads(output) / count)


def seconds_of(stage: str, folder: Path, workers: int) -> float:
    """Run a stage in this process, after the same on a few images."""
    for place in (folder / "warm", folder):
        with open_run(_config(place, workers)) as run:
            seconds = STAGES[stage](run)
    return seconds


def _config(folder: Path, workers: int) -> Config:
    values = {
        "run_dir": folder / "run",
        "machine": {"workers": workers, "device": "cpu"},
        "data": {"root": folder / "data", "format": "voc"},
        "model": NETWORK,
        "trainer": {"steps": 50, "batch_size": 4, "crop": [64, 64]},
        "prediction": {"scales": [1.0], "flip": False},
        "rounds": {"count": 1},
    }
    return Config.model_validate(values)


def _seeds(run: Run) -> float:
    dataset, started = read_weak(run.config.data), time.perf_counter()
    seed_labels(run, dataset)
    return time.perf_counter() - started


def _training(run: Run) -> float:
    dataset = read_weak(run.config.data)
    labels, started = seed_labels(run, dataset), time.perf_counter()
    train_segmenter(run, dataset, labels, 1)
    return time.perf_counter() - started


def _refined(run: Run) -> float:
    dataset = read_weak(run.config.data)
    seeds = seed_labels(run, dataset)
    model, started = train_segmenter(run, dataset, seeds, 1), time.perf_counter()
    clean_labels(run, dataset, model, seeds)
    return time.perf_counter() - started


def _prediction(run: Run) -> float:
    dataset = read_weak(run.config.data)
    model = train_segmenter(run, dataset, seed_labels(run, dataset), 1)
    started = time.perf_counter()
    predict_val(run, dataset, model)
    return time.perf_counter() - started


def _measured(run: Run) -> float:
    dataset, data = read_weak(run.config.data), run.config.data
    seeds = seed_labels(run, dataset)
    model = train_segmenter(run, dataset, seeds, 1)
    labels, samples = clean_labels(run, dataset, model, seeds), dataset.split("train")
    started = time.perf_counter()
    truth = read_truth(data.root, data.format, data.splits)
    measure(run, seeds, truth, samples)
    measure(run, labels, truth, samples)
    inspect(run, [seeds], samples)
    inspect(run, [seeds, labels], samples)
    return time.perf_counter() - started


def _report(run: Run) -> float:
    started = time.perf_counter()
    report_run(run.path)
    return time.perf_counter() - started


STAGES: dict[str, Callable[[Run], float]] = {
    "seeds": _seeds,
    "training": _training,
    "refine": _refined,
    "prediction": _prediction,
    "quality": _measured,
    "report": _report,
}
"""The measured stages in the order of a run; training takes the same steps at each size."""


def _print_table(found: dict[int, dict[str, Cost]]) -> None:
    counts = list(found)
    few, many = found[counts[0]], found[counts[-1]]
    print(f"{'':12}" + "".join(f"{f'{count} images':>24}" for count in counts) + f"{'ratio':>16}")
    print(f"{'stage':12}" + f"{'peak MB':>12}{'ms/image':>12}" * len(counts) + "    peak    time")
    for stage in STAGES:
        costs = [found[count][stage] for count in counts]
        row = "".join(f"{cost.peak:12.0f}{cost.milliseconds:12.1f}" for cost in costs)
        peak, pace = (b / a for a, b in zip(few[stage], many[stage], strict=True))
        print(f"{stage:12}{row}{peak:8.2f}{pace:8.2f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--stage", choices=list(STAGES), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
