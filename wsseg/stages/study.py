"""A study: many runs listed in one file, made where they are missing, to be compared."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pydantic import Field, ValidationError

from wsseg.errors import InputError
from wsseg.params import Params
from wsseg.runs.config import UNREADABLE, Config, explained, load_config, read_yaml
from wsseg.runs.progress import say
from wsseg.synthetic.annotator import Hand
from wsseg.synthetic.simulate import read_kinds, read_mix, simulate_dataset


class SimulationSettings(Params):
    """Weak annotations to draw from full masks, as ``wsseg simulate`` does."""

    kinds: str | None = None
    """What every image gets, such as "boxes,points"; or ..."""
    mix: str | None = None
    """... shares of the images, such as "boxes=0.5,tags=0.5"."""
    length: float = 1.0
    """Share of every scribble that is kept."""
    jitter: float = 0.0
    """Edges of boxes move by up to this share of the side."""
    background_points: int = 1
    """Clicks on the background."""
    points_per: str = "object"
    """Whether every "object" or every "class" is clicked."""
    seed: int = Field(0, ge=0)
    """The same seed gives the same file."""


class RecipeSettings(Params):
    """Runs of one configuration."""

    name: str
    """Of each run's folder, with ``<key>`` for each key of ``grid``."""
    config: str
    """The YAML file, ``<key>`` filled in."""
    set: tuple[str, ...] = ()
    """``key=value`` overrides, ``<key>`` and ``<folder>`` filled in."""
    grid: dict[str, dict[str, str] | tuple[str, ...]] = Field(default_factory=dict)
    """Values by name, or names that are values themselves, of each key; all combinations."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Each combination is run with each of these."""


class StudySettings(Params):
    """A study."""

    folder: Path
    """Holds the runs and the annotations drawn for them."""
    data: Path | None = None
    """The data set that annotations are drawn from."""
    simulate: dict[str, SimulationSettings] = Field(default_factory=dict)
    """Files ``<folder>/<name>.jsonl`` to draw, by name."""
    recipes: tuple[RecipeSettings, ...] = Field(min_length=1)
    """The runs."""


def run_study(path: Path, run: Callable[[Config, Path], None]) -> list[Path]:
    """Make what a study lists; what is finished is skipped, what was interrupted goes on.

    Args:
        path: The study's YAML file.
        run: Runs a configuration, given where its file lies.

    Returns:
        The folders of all runs, in the order of the file.

    Raises:
        InputError: The file breaks a rule, two runs have one name, or a run fails.
    """
    study = _read(path)
    planned = list(_planned(study))
    names = [name for name, _, _ in planned]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        remedy = "put every key of its grid into its name"
        raise InputError(f"recipes of {path}", "of distinct names", f"{twice[0]!r} twice", remedy)
    configs = [(Path(config), load_config(Path(config), keys)) for _, config, keys in planned]
    for name, settings in study.simulate.items():
        _draw(study, name, settings)
    for number, (name, (file, config)) in enumerate(zip(names, configs, strict=True), 1):
        say(f"study: run {number} of {len(names)}, {name}")
        run(config, file.parent)
    return [config.run_dir for _, config in configs]


def _read(path: Path) -> StudySettings:
    try:
        values = OmegaConf.to_container(read_yaml(path), resolve=True)
        return StudySettings.model_validate(values)
    except ValidationError as error:
        raise explained(error, str(path), StudySettings) from error
    except UNREADABLE as error:
        got = " ".join(str(error).split())
        raise InputError(path, "a YAML file of a study", got, "correct it") from error


def _planned(study: StudySettings) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the name, configuration and overrides of each run."""
    for recipe in study.recipes:
        for values in _combinations(recipe):
            names = {key: name for key, (name, _) in values.items()}
            given = {key: value for key, (_, value) in values.items()}
            given["folder"] = str(study.folder)
            keys = [_filled(override, given) for override in recipe.set]
            for seed in recipe.seeds:
                name = _filled(recipe.name, names)
                name = name if len(recipe.seeds) == 1 else f"{name}-s{seed}"
                place = [f"seed={seed}", f"run_dir={study.folder / name}"]
                yield name, _filled(recipe.config, given), [*keys, *place]


def _combinations(recipe: RecipeSettings) -> Iterator[dict[str, tuple[str, str]]]:
    """Yield a name and a value for each key of a grid."""
    named = {
        key: list(values.items()) if isinstance(values, dict) else [(v, v) for v in values]
        for key, values in recipe.grid.items()
    }
    for chosen in product(*named.values()):
        yield dict(zip(named, chosen, strict=True))


def _filled(text: str, values: dict[str, Any]) -> str:
    for key, value in values.items():
        text = text.replace(f"<{key}>", value)
    return text


def _draw(study: StudySettings, name: str, settings: SimulationSettings) -> None:
    out = study.folder / f"{name}.jsonl"
    if out.exists():
        say(f"{out}: up to date")
        return
    if study.data is None or (settings.kinds is None) == (settings.mix is None):
        rule, got = "drawn from 'data', by 'kinds' or 'mix'", settings.model_dump()
        raise InputError(f"simulate.{name}", rule, got, "set data and one of the two")
    shares = {read_kinds(settings.kinds): 1.0} if settings.kinds else read_mix(settings.mix or "")
    hand = Hand(settings.length, settings.jitter, settings.background_points, settings.points_per)
    simulate_dataset(study.data, out, shares, hand, seed=settings.seed)
