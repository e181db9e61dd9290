"""What a few masks teach the estimate of label quality: ranks and errors on the other images.

    python -m benchmarks.estimate RUN [RUN ...] [--masks 27] [--draws 10]

A run's training images need masks to measure with. Masks are drawn at random, again and again; of
the other images it prints Spearman's correlation with the true IoU, how many of the worst tenth are
ranked among it, and the mean error, without and with the masks.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

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
            figures = compared(run, labels.name, arguments.masks, arguments.draws)
            blind, taught, error, constant = figures
            print(
                f"{run.name:16} {labels.name:9} {blind[0]:+.2f} ({100 * blind[1]:3.0f} %)  "
                f"{taught[0]:+.2f} ({100 * taught[1]:3.0f} %)  {error:.3f}  {constant:.3f}"
            )


def compared(
    run: Path, name: str, masks: int, draws: int
) -> tuple[tuple[float, float], tuple[float, float], float, float]:
    """Return how well the estimate ranks the images whose masks taught nothing.

    Args:
        run: The run's folder.
        name: A stage of label maps, measured and inspected.
        masks: Images whose masks teach.
        draws: Choices of them, over which figures are means.

    Returns:
        ``ranking_quality`` without and with masks; the mean absolute error with masks, and that
        of the mean IoU of the masks for all.
    """
    signals = read_signals(run / name)
    if signals is None:
        raise SystemExit(f"{run / name} has no signals")
    table, ious = signals.set_index(["id", "class"]), pair_ious(run, name)
    table = table.loc[table.index.intersection(ious.index)]
    images, random = table.index.get_level_values("id"), np.random.default_rng(0)
    found = [_drawn(table, ious[table.index], images, masks, random) for _ in range(draws)]
    blind, taught, rest = (np.mean([each[part] for each in found], axis=0) for part in range(3))
    return (blind[0], blind[1]), (taught[0], taught[1]), float(rest[0]), float(rest[1])


def _drawn(
    table: pd.DataFrame, ious: pd.Series, images: pd.Index, masks: int, random: np.random.Generator
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    taught = images.isin(random.choice(images.unique(), masks, replace=False))
    blind, estimate = estimate_quality(table), estimate_quality(table, ious[taught])
    others, mean = ious[~taught], ious[taught].mean()
    errors = (float((estimate[~taught] - others).abs().mean()), float((mean - others).abs().mean()))
    return (
        ranking_quality(blind[~taught], others),
        ranking_quality(estimate[~taught], others),
        errors,
    )


if __name__ == "__main__":
    main()
