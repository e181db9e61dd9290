"""Every reader, given valid files whose values are replaced by hostile ones."""

import os
import random
from pathlib import Path, PurePosixPath

import pytest
from helpers.formats import FORMATS, readings, used
from helpers.mutations import mutated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def listed(folder):
    return {str(path) for path in folder.rglob("*")}


def check(dataset, root):
    """Check the invariants of a data set that was read from a folder."""
    assert dataset.samples or dataset.problems
    places = [(sample.split, sample.id) for sample in dataset.samples]
    assert len(places) == len({*places})
    for sample in dataset.samples:
        real = Path(os.path.realpath(sample.image))
        assert real.is_relative_to(os.path.realpath(root)) and real.is_file()
        path = PurePosixPath(sample.id)
        assert not path.is_absolute() and ".." not in path.parts and sample.id.isprintable()
        assert all(1 <= side <= 65_535 for side in sample.size)
        for box in sample.boxes:
            assert box.right <= sample.size[1] and box.bottom <= sample.size[0]
    for problem in dataset.problems:
        assert str(problem).isprintable()


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "folders"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1))
def test_hostile_values_are_refused_or_left_out(format, seed, tmp_path):
    small, rng = FORMATS[format](), random.Random(seed)
    name = rng.choice(small.drawn)
    root = small.write(tmp_path / "set", {name: mutated(small.files[name], rng)})
    before = listed(tmp_path)
    for dataset in readings(small, root):
        check(dataset, root)
        assert used(dataset) <= len(dataset.samples)
    assert listed(tmp_path) == before


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/") | st.sampled_from(".<>&'\"[]$\n\x1b"),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(classes=st.lists(NAMES, min_size=1, max_size=3, unique=True), name=NAMES)
def test_folders_of_any_name(tmp_path_factory, classes, name):
    small = FORMATS["folders"]()
    root = small.write(tmp_path_factory.mktemp("folders") / "set")
    for number, label in enumerate(classes):
        path = root / "train" / label / f"{name}{number}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(small.files["train/cow/a.png"])
        except OSError:  # no file system holds it
            continue
    for dataset in readings(small, root):
        check(dataset, root)
        used(dataset)
