"""kill -9 at random moments in every stage of every recipe: the result is bit-identical."""

from pathlib import Path

import pytest
from helpers.killing import Killer, assert_same_run, kill_in_every_stage
from helpers.running import wsseg

from wsseg.synthetic.scenes import write_scenes

SCENES = "scenes"
SMALL = "{steps: 8, batch_size: 4, crop: [48, 48]}"
OF_TAGS = [
    f"classifier={{trainer: {SMALL}}}",
    "cam={scales: [1.0], refiner: none, affinity: learned}",
    "machine.checkpoint_every=3",
    "rounds.count=1",
    "rounds.min_island=0.01",
]
MIX = "boxes=0.2,scribbles=0.2,points+boxes=0.2,tags=0.2,masks=0.1,nothing=0.1"
OF_MASKS = ["data.masks=masks.txt", "finetune.base=base"]
RECIPES = {
    "boxes": ["pipeline=weak", "zoom={folds: 2, side: 32, steps: 8}"],
    "tags": ["pipeline=weak", "data.weak=tags", *OF_TAGS],
    "mixed": [
        "pipeline=weak",
        *("data.weak=none", "data.annotations=[mixed.jsonl]", "seeds.name=auto", *OF_TAGS),
        "rounds.count=auto",
    ],
    "finetune": [
        "pipeline=finetune",
        *("finetune.method=semi", "finetune.semi.reliable_first=true", *OF_MASKS),
    ],
}
KILLS = {"boxes": 25, "tags": 20, "mixed": 27, "finetune": 19}
"""Minimum of kills, in the stages and in the report."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The working directory, with scenes and mixed annotations."""
    folder = tmp_path_factory.mktemp("kills")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        write_scenes(Path(SCENES), train=10, val=3, seed=0, sides=(48, 64))
        assert wsseg("simulate", SCENES, "mixed.jsonl", "--mix", MIX, "--workers", "1") == 0
        ids = Path(SCENES, "ImageSets/Segmentation/train.txt").read_text().split()
        Path("masks.txt").write_text("\n".join(ids[:3]))
        yield folder


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
@pytest.mark.parametrize("recipe", RECIPES)
def test_killed_in_every_stage_it_ends_as_the_unbroken_run(folder, config_file, recipe, seed):
    whole, run = folder / recipe, folder / f"{recipe}-{seed}"
    if recipe == "finetune":
        finish(folder / "base", [config_file, f"data.root={SCENES}"])
    given = [config_file, f"data.root={SCENES}", *RECIPES[recipe]]
    finish(whole, given)
    killer = Killer(["run", *given, f"run_dir={run}"], folder / f"{run.name}.log", seed)
    kill_in_every_stage(killer, run, whole)
    assert len(killer.kills) >= KILLS[recipe]
    assert_same_run(run, whole)


def finish(run, given):
    """Run to the end without interruption."""
    Killer(["run", *given, f"run_dir={run}"], run.with_suffix(".log")).finish()
