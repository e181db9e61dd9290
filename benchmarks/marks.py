"""Compare points, scribbles, boxes with points and a mixture of annotations on MSRC-15.

    python -m benchmarks.marks [--out runs/msrc_marks]

Each kind of annotation is simulated from the masks and trained on with each loss, beside boxes,
tags and full masks: 43 runs, about 5 CPU hours. Finished runs are skipped and an interrupted one is
resumed, so the same command continues a study. It is a plan in Python: copy it for your own.
"""

import argparse
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from wsseg.report.comparison_page import compare_runs
from wsseg.runs.config import load_config
from wsseg.runs.recipes import find_config, run_pipeline
from wsseg.synthetic.params import SimulationParams
from wsseg.synthetic.simulate import simulate_dataset

MARKS = {
    "points": SimulationParams(kinds="points"),
    "scribbles10": SimulationParams(kinds="scribbles", length=0.1),
    "scribbles50": SimulationParams(kinds="scribbles", length=0.5),
    "scribbles100": SimulationParams(kinds="scribbles"),
    "boxes_points": SimulationParams(kinds="boxes,points"),
    "mixed": SimulationParams(
        mix="boxes=0.3,scribbles=0.25,points=0.25,tags=0.1,masks=0.05,nothing=0.05"
    ),
}
LOSSES = {
    "none": "{partial_ce: 1}",
    "gated_crf": "{partial_ce: 1, gated_crf: 0.1}",
    "dense_crf": "{partial_ce: 1, dense_crf: 0.1}",
    "tree_energy": "{partial_ce: 1, tree_energy: 0.4}",
    "agmm": "{partial_ce: 1, agmm: 1}",
}


def plan(out: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the name, configuration file and overrides of each run."""
    steps = "trainer.steps=400"
    for seed in range(3):
        yield f"full-s{seed}", "msrc_full.yaml", [steps, f"seed={seed}"]
    for marks, loss in product(MARKS, LOSSES):
        config = "msrc_mixed.yaml" if marks in {"boxes_points", "mixed"} else "msrc_points.yaml"
        yield f"{marks}-{loss}", config, _one_round(out, marks, loss)
    for loss in ("none", "tree_energy"):  # points, and the background outside the boxes
        overrides = ["seeds.name=strokes", *_one_round(out, "boxes_points", loss)]
        yield f"boxes_points-{loss}-unspread", "msrc_points.yaml", overrides
    for kind in ("boxes", "tags"):
        yield kind, f"msrc_{kind}.yaml", [steps]
    for marks, config in (("points", "msrc_points.yaml"), ("scribbles100", "msrc_scribbles.yaml")):
        for seed in range(3):
            overrides = [f"data.annotations=[{out}/{marks}.jsonl]", f"seed={seed}"]
            yield f"{marks}-tree_energy-2-rounds-s{seed}", config, overrides


def _one_round(out: Path, marks: str, loss: str) -> list[str]:
    return [
        f"data.annotations=[{out}/{marks}.jsonl]",
        f"trainer.loss={LOSSES[loss]}",
        "trainer.steps=400",
        "rounds.count=1",
    ]


def main() -> None:
    """Make the runs that are missing, and compare all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/msrc_marks"))
    out = parser.parse_args().out
    runs = []
    for name, config, overrides in plan(out):
        path = find_config(Path("configs", config))
        runs.append((load_config(path, [*overrides, f"run_dir={out / name}"]), path.parent))
    for name, params in MARKS.items():
        if not (file := out / f"{name}.jsonl").exists():
            data = Path(os.environ.get("WSSEG_DATA", "data")) / "msrc15"
            simulate_dataset(data, file, params)
    for settings, beside in runs:
        run_pipeline(settings, beside)
    folders = [settings.run_dir for settings, _ in runs]
    print(*compare_runs(folders, out / "comparison"), sep="\n")


if __name__ == "__main__":
    main()
