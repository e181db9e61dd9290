"""Recipes, folds and settings of the runs of ``benchmarks.accuracy``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.marks import MARKS
from wsseg.data.formats.raw import RawDataset
from wsseg.data.formats.table import read_raw
from wsseg.data.formats.views import view
from wsseg.data.load import prepare
from wsseg.data.params import DataParams
from wsseg.data.splitting import divide, fold_ids, shown_classes
from wsseg.data.truth import Truth
from wsseg.errors import InputError
from wsseg.files import write_text
from wsseg.runs.config import Config, load_config
from wsseg.runs.recipes import find_config
from wsseg.synthetic.simulate import simulate_dataset

_DRAWN = {"points": "points", "scribbles": "scribbles100", "mixed": "mixed"}
_MASKS = 0.1  # share of the training images whose masks a fine-tuning uses
_SCREEN, _SCREENED = "screen", 2  # folder, folds


@dataclass(frozen=True)
class Recipe:
    """A YAML file with settings that replace some of its own."""

    name: str
    file: Path
    overrides: tuple[str, ...]

    def config(self, run_dir: Path, *more: str) -> Config:
        """Return the settings of a run of the recipe."""
        return load_config(self.file, [*self.overrides, *more, setting("run_dir", run_dir)])

    def changed(self, *overrides: str) -> "Recipe":
        """Return the recipe with more settings."""
        return replace(self, overrides=(*self.overrides, *overrides))


@dataclass(frozen=True)
class Study:
    """Recipes, the upper bound first, and the folds that are measured.

    Attributes:
        out: Folder of the study.
        folds: Number of each fold and the file that lists its images.
        runs: Folder of the runs: ``out``, or a folder in it of shorter runs.
    """

    out: Path
    recipes: tuple[Recipe, ...]
    folds: Mapping[int, Path]
    runs: Path

    def run_dir(self, recipe: Recipe, fold: int) -> Path:
        """Return the folder of a run."""
        return self.runs / recipe.name / f"fold-{fold}"

    def config(self, recipe: Recipe, fold: int) -> Config:
        """Return the settings of a run, whose first labels may be those of ``share_seeds``."""
        config = self.own_config(recipe, fold)
        more = []
        if shares_seeds(config):
            more = ["seeds.name=folder", setting("seeds.folder", self.seeds(recipe))]
        if pipeline_of(config) == "finetune":
            masks = self.folds[fold].with_name(f"masks-{fold}.txt")
            more = [setting("data.masks", masks)]
            if config.finetune.base:
                base = self.runs / config.finetune.base.name / f"fold-{fold}"
                more.append(setting("finetune.base", base))
        return self.own_config(recipe, fold, *more)

    def own_config(self, recipe: Recipe, fold: int, *more: str) -> Config:
        """Return the settings of a run that shares nothing with those of other folds."""
        held_out = setting("data.held_out", self.folds[fold])
        division = ("data.split=null", "data.group=null", held_out)
        return recipe.config(self.run_dir(recipe, fold), *division, *more)

    def seeds(self, recipe: Recipe) -> Path:
        """Return the folder of the first labels of all images."""
        return self.out / recipe.name / "all" / "seeds" / "labels"


def plan(
    names: Sequence[str], overrides: Sequence[str], out: Path, folds: int, screen: bool = False
) -> Study:
    """Return the study of some recipes; its folds, and annotations that are drawn, are written.

    Raises:
        InputError: A setting breaks a rule, or the data cannot be used.
    """
    recipes = _with_bound([_recipe(Path(name), overrides) for name in names], out)
    if screen:
        recipes = [_screened(recipe, out) for recipe in recipes]
    data = recipes[0].config(out).data.model_copy(update={"split": None, "group": None})
    raw = prepare(read_raw(data.root, data.format), data)
    files = write_folds(raw, data, out / "folds", folds)
    splits = {entry.sample.split for entry in raw.samples}
    recipes = [_with_marks(recipe, out, sorted(splits)) for recipe in recipes]
    chosen = dict(list(files.items())[: _SCREENED if screen else None])
    return Study(out, tuple(recipes), chosen, out / _SCREEN if screen else out)


def write_folds(raw: RawDataset, data: DataParams, folder: Path, count: int) -> dict[int, Path]:
    """Write the images with masks of each fold, and those whose masks fine-tuning on it uses.

    Returns:
        The files ``<N>.txt`` by number; those of the masks are ``masks-<N>.txt``.

    Raises:
        InputError: There are fewer images with masks than folds.
    """
    truth = Truth(view(raw, "masks"))
    covered = {(s.split, s.id) for s in truth.dataset.samples if truth.covers(s)}
    entries = (e for e in raw.samples if (e.sample.split, e.sample.id) in covered)
    raw = replace(raw, samples=tuple(entries))
    files = {}
    for number, ids in enumerate(fold_ids(raw, data.train, data.val or "val", count), 1):
        training = [entry for entry in raw.samples if entry.sample.id not in {*ids}]
        names = [entry.sample.id for entry in training]
        chosen = np.array(names)[divide(shown_classes(raw, training), names, _MASKS)]
        files[number] = folder / f"{number}.txt"
        write_text(files[number], "".join(f"{id}\n" for id in ids))
        write_text(folder / f"masks-{number}.txt", "".join(f"{id}\n" for id in sorted(chosen)))
    return files


def pipeline_of(config: Config) -> str:
    """Return the name of the pipeline of a run."""
    return Path(config.pipeline).stem


def shares_seeds(config: Config) -> bool:
    """Return whether the first labels of a run are those of ``Study.seeds``."""
    return pipeline_of(config) == "weak" and config.seeds.name != "folder"


def setting(name: str, path: Path) -> str:
    """Return a path as a setting ``key=value``."""
    return f"{name}={json.dumps(str(path))}"


def _recipe(path: Path, overrides: Sequence[str]) -> Recipe:
    file = find_config(path.with_suffix(".yaml"))
    return Recipe(file.stem, file, tuple(overrides))


def _with_bound(recipes: Sequence[Recipe], out: Path) -> list[Recipe]:
    """Return recipes after the upper bound, each after the one that it is based on."""
    ordered: dict[str, Recipe] = {}
    for recipe in recipes:
        config = recipe.config(out)
        if config.rounds.count == "auto" and pipeline_of(config) == "weak":
            problem = f"rounds.count of {recipe.name} is auto, which looks at held-out images"
            raise InputError(problem, hint="set rounds.count to a number")
        if pipeline_of(config) == "finetune" and config.finetune.base:
            base = _recipe(recipe.file.with_name(config.finetune.base.name), recipe.overrides)
            ordered.setdefault(base.name, base)
        ordered.setdefault(recipe.name, recipe)
    full = (one for one in ordered.values() if pipeline_of(one.config(out)) == "full")
    plain = ("pipeline=full", "trainer.loss=ce", "data.annotations=[]", "data.masks=null")
    bound = next(full, None) or replace(recipes[0].changed(*plain), name="full")
    return [bound, *(one for one in ordered.values() if one != bound)]


def _screened(recipe: Recipe, out: Path) -> Recipe:
    steps = recipe.config(out).trainer.steps
    return recipe.changed("rounds.count=1", f"trainer.steps={max(1, steps // 2)}")


def _with_marks(recipe: Recipe, out: Path, splits: Sequence[str]) -> Recipe:
    """Return a recipe of points, scribbles or a mixture with annotations drawn from the masks."""
    data, kind = recipe.config(out).data, recipe.name.rpartition("_")[2]
    if kind not in _DRAWN or not data.annotations:
        return recipe
    files = [out / f"{kind}-{split}.jsonl" for split in splits]
    for file, split in zip(files, splits, strict=True):
        if not file.exists():
            changes = {"split": split, "format": data.format}
            simulate_dataset(data.root, file, MARKS[_DRAWN[kind]].model_copy(update=changes))
    return recipe.changed(f"data.annotations={json.dumps([str(file) for file in files])}")
