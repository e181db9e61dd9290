"""Measure how well the estimate of label quality ranks images, with and without some masks.

    python -m benchmarks.estimate RUN [RUN ...] [--masks 27] [--draws 10]

The training images of a run need masks to measure with. Masks are drawn at random several times. Of
the other images it prints Spearman's correlation with the true IoU, the recall of the worst tenth,
and the mean error, without and with the masks.
"""

import argparse
from pathlib import Path

import numpy as np

from wsseg.metrics.estimate import estimate_quality, ranking_quality
from wsseg.stages.measure import pair_ious
from wsseg.stages.signals import read_signals


def main() -> None:
    """Print a line for each stage of each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--masks", type=int, default=27)
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    print("run              stage     without masks  with masks     error  of the masks' mean")
    for run in arguments.runs:
        for labels in sorted(path.parent for path in run.glob("*/signals")):
            blind, learned, error, constant = compare(
                run, labels.name, arguments.masks, arguments.draws
            )
            print(
                f"{run.name:16} {labels.name:9} {blind[0]:+.2f} ({100 * blind[1]:3.0f} %)  "
                f"{learned[0]:+.2f} ({100 * learned[1]:3.0f} %)  {error:.3f}  {constant:.3f}"
            )


def compare(
    run: Path, name: str, masks: int, draws: int
) -> tuple[tuple[float, float], tuple[float, float], float, float]:
    """Return how well the estimate ranks the images whose masks it has not learned from."""
    signals = read_signals(run / name)
    if signals is None:
        raise SystemExit(f"{run / name} has no signals")
    table, ious = signals.set_index(["id", "class"]), pair_ious(run, name)
    table = table.loc[table.index.intersection(ious.index)]
    ious, images = ious[table.index], table.index.get_level_values("id")
    random, blind = np.random.default_rng(0), estimate_quality(table)
    results = []
    for _ in range(draws):
        known = images.isin(random.choice(images.unique(), masks, replace=False))
        learned, others = estimate_quality(table, ious[known])[~known], ious[~known]
        errors = ((learned - others).abs().mean(), (ious[known].mean() - others).abs().mean())
        rankings = (ranking_quality(blind[~known], others), ranking_quality(learned, others))
        results.append((*rankings, errors))
    before, after, error = np.mean(results, axis=0)
    return tuple(before), tuple(after), float(error[0]), float(error[1])


if __name__ == "__main__":
    main()
