"""The public API: what README and DESIGN promise works in a new process, fast and typed."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import wsseg
from wsseg.errors import InputError
from wsseg.synthetic.scenes import write_scenes

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("api") / "scenes"
    write_scenes(root, train=3, val=2, seed=0)
    return wsseg.load_dataset(root)


def test_every_public_name_is_there_and_documented():
    assert len(wsseg.__all__) <= 14
    for name in wsseg.__all__:
        assert name == "IGNORE" or getattr(wsseg, name).__doc__, name
        assert name in dir(wsseg)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'sead'"):
        wsseg.sead  # noqa: B018


def test_import_loads_no_heavy_package():
    code = "import sys, wsseg; print(sorted({'torch', 'cv2', 'numba', 'pandas'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_data_set_is_a_sequence_of_samples(dataset):
    assert len(dataset) == 5 and [s.id for s in dataset] == [s.id for s in dataset.samples]
    assert dataset[-1] == dataset.samples[-1] and len(dataset.split("val")) == 2
    example = dataset[0].example()
    assert example.image.shape[:2] == dataset[0].size
    assert example.constraints.allowed.shape[1:] == dataset[0].size


def test_a_seed_is_a_name_or_a_function(dataset):
    example = dataset[0].example()
    box = wsseg.seed(example, "box")
    assert example.constraints.allows(box).all()
    assert (wsseg.seed(example, lambda _: box) == box).all()
    assert (wsseg.seed(example) == wsseg.seed(example, "grabcut")).all()  # boxes only
    assert not (wsseg.seed(example, "box_inner", share=0.1) == box).all()
    votes = wsseg.seed(example, "grabcut_votes")
    assert example.constraints.allows(votes).all()
    quick = wsseg.seed(example, "grabcut_strokes", iterations=1)
    assert example.constraints.allows(quick).all()


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [("grabcat", {}, "grabcut"), ("grabcut", {"iteration": 3}, "iteration")],
)
def test_a_seed_that_is_unknown_or_has_other_parameters(dataset, name, params, message):
    with pytest.raises(InputError, match=message):
        wsseg.seed(dataset[0].example(), name, **params)


def test_cleaning_keeps_to_the_constraints(dataset):
    example = dataset[0].example()
    scores = np.random.default_rng(0).random(example.constraints.allowed.shape)
    sharp = wsseg.dense_crf(example.image, scores, allowed=example.constraints.allowed)
    labels = wsseg.clean(sharp, example, wsseg.seed(example, "box"), reset_iou=0)
    assert example.constraints.allows(labels).all()


def test_truth_is_loaded_apart_and_only_measures(dataset):
    sample = dataset.split("train")[0]
    truth = wsseg.load_truth(sample.image.parents[1])
    box = wsseg.seed(sample.example(), "box")
    quality = wsseg.evaluate([box], [truth.label_map(sample)], dataset.classes)
    assert 0 < quality.miou < 1


def test_a_run_from_python_is_that_of_the_command_line(finished, scenes, config_file, tmp_path):
    run = wsseg.run(
        config_file, run_dir=tmp_path / "run", data={"root": scenes}, rounds={"count": 1}
    )
    other = wsseg.Run(finished)
    identity = next(iter(run.rounds[-1].labels))
    assert len(run.rounds) == 1 and run.report.is_file() and run.summary["classes"]
    assert (run.rounds[0].labels[identity] == other.rounds[0].labels[identity]).all()
    segmenter = wsseg.load_segmenter(run.path)
    image = wsseg.load_dataset(scenes)[0].image
    prediction = segmenter(image)
    prediction.save(tmp_path / "photo.png")
    assert (tmp_path / "photo.png").is_file()
    overlay = wsseg.show(wsseg.load_dataset(scenes)[0].example().image, prediction.label_map)
    assert overlay.size == prediction.label_map.shape[::-1]


def test_snippets_of_the_readme_run(finished, scenes, config_file, tmp_path, monkeypatch):
    """All Python blocks in order, with the paths that they name replaced by small real ones."""
    image = wsseg.load_dataset(scenes)[0].image
    paths = {
        "path/to/data": scenes,
        "mine.yaml": config_file,
        "runs/mine": finished,
        "photo.jpg": image,
    }
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    code = "\n".join(map(textwrap.dedent, blocks))
    assert blocks and all(f'"{name}"' in code for name in paths)
    for name, path in paths.items():
        code = code.replace(f'"{name}"', f'r"{path}"')
    code = code.replace("seed=1", f"seed=0, run_dir=r'{finished}', data=dict(root=r'{scenes}')")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(README), "exec"), {})
    assert (tmp_path / "photo.png").is_file() and (tmp_path / "overlay.png").is_file()
