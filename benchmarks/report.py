"""Time, size and memory of the report of a large run, against plain overlays of every stage.

    python -m benchmarks.report [--images 1000 10000] [--rounds 3] [--folder DIR] [--chromium PATH]

Scenes are generated, and so are labels: the truth without some of its blocks, fewer with each
round. A hundred scenes are different; the others are copies of them and of their stages. The
baseline is what scripts do: a JPEG with its label map laid over it for each image and stage, as
large as in the report, timed on some images and scaled up.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import sync_playwright

from wsseg.data.load import read_weak
from wsseg.data.model import Sample
from wsseg.data.truth import read_truth
from wsseg.images import read_image
from wsseg.labelmaps import overlay, read_label_map, write_label_map
from wsseg.runs.config import Config
from wsseg.runs.labelling import ClassStats, label_images
from wsseg.runs.run import open_run
from wsseg.stages.measure import measure
from wsseg.stages.signals import inspect
from wsseg.synthetic.scenes import write_scenes

DIFFERENT = 100
SIDES = (240, 320)
OVERLAYS = 100


def main() -> None:
    """Print a line for each number of images."""
    arguments = _arguments()
    titles = ["report s", "ms/image", "MB", "kB/image", "peak MB", "overlays s", "MB", "opens ms"]
    print("images  stages" + "".join(f"{title:>11}" for title in titles))
    for count in arguments.images:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            run = make_run(Path(folder), count, arguments.rounds)
            print(measure_report(run, count, arguments.rounds + 1, arguments.chromium), flush=True)


def make_run(folder: Path, count: int, rounds: int) -> Path:
    """Make a run with measured label maps and signals, without a report; return its folder."""
    data, run_dir = folder / "data", folder / "run"
    write_scenes(data, train=min(count, DIFFERENT), val=1, seed=0, sides=SIDES)
    config = Config.model_validate(
        {"run_dir": run_dir, "data": {"root": data, "val": None}, "rounds": {"count": rounds}}
    )
    with open_run(config) as run:
        samples = read_weak(config.data).split("train")
        truth = read_truth(config.data.root, config.data.format, config.data.splits)
        history = []
        for number in range(rounds + 1):
            stage = run.stage(f"round-{number}" if number else "seeds")
            masks, rules = data / "SegmentationClass", stage.path / "rules"
            label = partial(degrade, masks=masks, share=0.3 / (number + 1), rules=rules)
            history.append(label_images(run, stage, label, samples))
            measure(run, history[-1], truth, samples)
            inspect(run, history, samples)
    multiply(data, run_dir, count)
    return run_dir


def multiply(data: Path, run: Path, count: int) -> None:
    """Add copies of a run's images, and of their rows and label maps in all stages."""
    names = (data / "ImageSets/Segmentation/train.txt").read_text(encoding="utf-8").split()
    copies = {f"copy-{n:06d}": names[n % DIFFERENT] for n in range(DIFFERENT, count)}
    files: dict[str, list[Path]] = {}
    for path in [*data.glob("*/*.*"), *run.rglob("*.png")]:
        files.setdefault(path.stem, []).append(path)
    for copy, name in copies.items():
        for path in files[name]:
            path.with_name(f"{copy}{path.suffix}").hardlink_to(path)
    for lists in (data / "ImageSets").glob("*/train.txt"):
        lists.write_text("".join(f"{name}\n" for name in [*names, *copies]), encoding="utf-8")
    for path in run.rglob("stats.parquet"):
        table = pd.read_parquet(path)
        rows = table.groupby("id").indices
        chosen = [(copy, row) for copy, name in copies.items() for row in rows.get(name, ())]
        more = table.iloc[[row for _, row in chosen]].assign(id=[copy for copy, _ in chosen])
        pd.concat([table, more]).to_parquet(path, index=False)


def degrade(
    sample: Sample, masks: Path, share: float, rules: Path
) -> tuple[NDArray[np.uint8], ClassStats]:
    """Return the true label map with a share of its 8 x 8 blocks set to background."""
    labels = read_label_map(masks / f"{sample.id}.png")
    random = np.random.default_rng([*sample.id.encode()])
    height, width = labels.shape
    blocks = random.random((height // 8 + 1, width // 8 + 1)) < share
    gone = blocks.repeat(8, 0).repeat(8, 1)[:height, :width]
    write_label_map(rules / f"{sample.id}.png", gone.astype(np.uint8))
    return np.where(gone, 0, labels).astype(np.uint8), {}


def measure_report(run: Path, count: int, stages: int, chromium: str | None) -> str:
    """Write a run's report and return its figures as a line of the table."""
    command = [sys.executable, "-c", "from wsseg.cli import main; main()", "report", str(run)]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size = sum(path.stat().st_size for path in (run / "report").rglob("*") if path.is_file())
    plain_seconds, plain_size = overlays(run, count, stages)
    figures = [seconds, 1000 * seconds / count, size / 1e6, size / count / 1e3, peak]
    figures += [plain_seconds, plain_size / 1e6]
    if chromium:
        figures.append(opening(run / "report" / "images.html", chromium))
    return f"{count:6} {stages:7}" + "".join(f"{figure:11.1f}" for figure in figures)


def overlays(run: Path, count: int, stages: int) -> tuple[float, float]:
    """Return seconds on one core and bytes of plain overlays, scaled up from some images."""
    paths = sorted((run / "seeds" / "labels").glob("*.png"))[:OVERLAYS]
    data = run.parent / "data" / "JPEGImages"
    folder, started = Path(tempfile.mkdtemp()), time.perf_counter()
    for path in paths:
        (image,) = data.glob(f"{path.stem}.*")
        shown = Image.fromarray(overlay(read_image(image), read_label_map(path)))
        shown.thumbnail((280, 280))
        shown.save(folder / f"{path.stem}.jpg", quality=75)
    seconds = (time.perf_counter() - started) * stages * count / len(paths)
    size = sum(path.stat().st_size for path in folder.iterdir()) * stages * count / len(paths)
    shutil.rmtree(folder)
    return seconds, size


def opening(page: Path, chromium: str) -> float:
    """Return the median of three times, ms, until a page shows its first label map."""
    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(3):
            tab, started = browser.new_page(), time.perf_counter()
            tab.goto(page.as_uri())
            tab.wait_for_selector(".image canvas")
            times.append(1000 * (time.perf_counter() - started))
            tab.close()
        browser.close()
    return statistics.median(times)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
