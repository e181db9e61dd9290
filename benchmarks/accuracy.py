"""Cross-validate recipes on every image with a mask, against full supervision.

    python -m benchmarks.accuracy msrc_boxes msrc_points [--data ROOT] [--folds 5] [--screen]
        [--out runs/accuracy] [key=value ...]

A recipe is a YAML file, or the name of one in ``configs``; ``key=value`` settings apply to all. The
images of both splits are divided into folds, balanced by their classes; each recipe is trained on
all folds but one and measured on that one, in an ordinary run in ``OUT/<recipe>/fold-N``. Finished
runs are skipped and an interrupted one is resumed, so the same command continues a study.

The upper bound is the recipe with ``pipeline: full``; if none is named, the first recipe's trainer
with cross-entropy. Recipes named ``..._points``, ``..._scribbles`` and ``..._mixed`` get
annotations that are drawn from the masks; those with ``pipeline: finetune`` start from the run of
their base recipe on the same fold, with the masks of a tenth of its training images. First labels
that no network makes depend on no fold, so they are made once for all images.

The figures are of the predictions of all folds together. Their intervals are paired bootstraps over
images; what another seed would change comes on top. Masks of held-out images only measure.
``--screen`` compares candidates at a fraction of the time: two folds, one round, half of the steps.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy_plan import Recipe, Study, pipeline_of, plan, setting, shares_seeds
from wsseg.data.load import read_weak
from wsseg.errors import InputError
from wsseg.files import read_record
from wsseg.metrics.bootstrap import miou_ratio
from wsseg.metrics.segmentation import SegmentationQuality, pooled
from wsseg.report.comparison import val_quality
from wsseg.report.comparison_page import ends
from wsseg.report.page import change, percent
from wsseg.report.summary import read_summary
from wsseg.runs.config import Config
from wsseg.runs.progress import log
from wsseg.runs.recipes import run_pipeline
from wsseg.runs.run import open_run, read_config
from wsseg.stages.checks import check_before_work, check_settings
from wsseg.stages.rounds import seed_labels


def main() -> None:
    """Make the runs that are missing, and print the figures of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipes", nargs="+", help="recipes, and settings as key=value")
    parser.add_argument("--data", type=Path, help="another data set than that of the recipes")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--screen", action="store_true", help="two folds, one round, half as long")
    arguments = parser.parse_intermixed_args()
    overrides = [text for text in arguments.recipes if "=" in text]
    if arguments.data:
        overrides += [setting("data.root", arguments.data), "data.format=auto"]
    names = [text for text in arguments.recipes if "=" not in text]
    study = plan(names, overrides, arguments.out.absolute(), arguments.folds, arguments.screen)
    print(*cross_validate(study), sep="\n")


def cross_validate(study: Study) -> Iterator[str]:
    """Make the runs that are missing, and yield the lines of the tables.

    Raises:
        InputError: As a run.
    """
    log(remaining(study))
    for recipe in study.recipes:
        share_seeds(study, recipe)
    for fold in study.folds:
        for recipe in study.recipes:
            log(f"{recipe.name}, fold {fold}; {remaining(study)}")
            run_pipeline(study.config(recipe, fold), recipe.file.parent)
    qualities = {recipe.name: measured(study, recipe) for recipe in study.recipes}
    bound = next(iter(qualities.values()))
    seed = study.recipes[0].config(study.out).seed
    yield f"{len(bound.by_image().ids)} images in {len(study.folds)} folds, seed {seed}"
    yield from ratio_table(qualities)
    yield from class_table(qualities)


def share_seeds(study: Study, recipe: Recipe) -> None:
    """Make the first labels of all images, for runs on all folds.

    The label of an image depends on the image, its weak annotations and the seed alone. Images that
    have only tags stay IGNORE; each run labels them by its own classifier.
    """
    config = study.own_config(recipe, next(iter(study.folds)))
    if not shares_seeds(config):
        return
    config = config.model_copy(update={"run_dir": study.seeds(recipe).parents[1]})
    check_settings(config)
    dataset, train = read_weak(config.data), config.data.train
    dataset = replace(dataset, samples=tuple(replace(s, split=train) for s in dataset.samples))
    check_before_work(config, dataset)
    with open_run(config) as run:
        seed_labels(run, dataset)


def measured(study: Study, recipe: Recipe) -> SegmentationQuality:
    """Return the figures of the held-out images of all folds together.

    Raises:
        InputError: A run has no figures.
    """
    parts = []
    for fold in study.folds:
        run = study.run_dir(recipe, fold)
        quality = val_quality(run, read_summary(run))
        if quality is None:
            hint = "check that its held-out images have masks"
            raise InputError(f"The run {run} has measured no held-out image", hint=hint)
        parts.append(quality)
    return pooled(parts)


def ratio_table(qualities: Mapping[str, SegmentationQuality]) -> Iterator[str]:
    """Yield the mIoU of each recipe, its share of the first one's, and its gain over the second."""
    (_, bound), *others = qualities.items()
    width = max(map(len, qualities))
    titles = ["mIoU", "of full", "95 %", "chance"]
    against = f"  against {others[0][0]}" if len(others) > 1 else ""
    yield f"{'recipe':<{width}}" + "".join(f"{title:>15}" for title in titles) + against
    for name, quality in qualities.items():
        share = miou_ratio([quality.by_image()], [bound.by_image()])
        cells = [percent(quality.miou), percent(share.value), ends(share)]
        cells.append(f"± {percent(share.half_width)}")
        is_other = name in dict(others[1:])
        gain = f"  {change(quality.gain_over(others[0][1]))}" if is_other else ""
        yield f"{name:<{width}}" + "".join(f"{cell:>15}" for cell in cells) + gain
    yield "chance: half of the interval; a smaller difference may be that of other images"


def class_table(qualities: Mapping[str, SegmentationQuality]) -> Iterator[str]:
    """Yield the IoU of each class; a star marks those that differ from the first recipe's."""
    bound, *_ = qualities.values()
    gains = {name: quality.class_gains_over(bound) for name, quality in qualities.items()}
    width = max(len("class"), *map(len, bound.per_class))
    yield f"{'class':<{width}}" + "".join(f"{name:>{len(name) + 4}} " for name in qualities)
    for label in bound.per_class:
        line = f"{label:<{width}}"
        for name, quality in qualities.items():
            gain = gains[name].get(label)
            star = "*" if gain and not gain.is_noise else " "
            line += f"{percent(quality.per_class.get(label)):>{len(name) + 4}}{star}"
        yield line
    yield "*: differs from full masks by more than other images may change"


def remaining(study: Study) -> str:
    """Return how many runs are missing and the hours that they will take.

    The time of a step, with its share of labels and predictions, is that of finished runs of the
    recipe in this study and its screening, or of all recipes if there is none.
    """
    rates: dict[str, list[float]] = {}
    missing: list[tuple[str, int]] = []
    for recipe in study.recipes:
        for run in sorted(study.out.glob("*/fold-*")) + sorted(study.out.glob("*/*/fold-*")):
            if run.parent.name == recipe.name and _is_finished(run):
                rates.setdefault(recipe.name, []).append(_seconds(run) / _steps(read_config(run)))
        steps = _steps(recipe.config(study.out))
        folds = [fold for fold in study.folds if not _is_finished(study.run_dir(recipe, fold))]
        missing += [(recipe.name, steps)] * len(folds)
    count = f"{len(missing)} of {len(study.recipes) * len(study.folds)} runs are missing"
    if not missing:
        return count
    known = [rate for of_recipe in rates.values() for rate in of_recipe]
    if not known:
        return f"{count}; how long they take is unknown before one is finished"
    hours = sum(np.mean(rates.get(name, known)) * steps for name, steps in missing) / 3600
    return f"{count}: about {hours:.1f} hours, at {np.mean(known):.2f} s a step so far"


def _steps(config: Config) -> int:
    rounds = len(config.rounds.numbers) if pipeline_of(config) == "weak" else 1
    return config.trainer.steps * max(rounds, 1)


def _seconds(run: Path) -> float:
    seconds = (read_record(path).get("seconds", 0.0) for path in run.rglob("manifest.json"))
    return float(sum(seconds))


def _is_finished(run: Path) -> bool:
    return (run / "report" / "summary.json").exists()


if __name__ == "__main__":
    main()
