"""Another time zone, clock, locale or hash seed: the run is bit-identical."""

import ast
import os
import shutil
import subprocess
import sys
import time

import pytest
from helpers.killing import assert_same_run, manifests
from helpers.running import ROOT, hashes, wsseg

from wsseg.synthetic.scenes import write_scenes

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMAND = [sys.executable, "-c", "from wsseg.cli import main; main()", "run"]


def run_apart(*arguments, code=0, **surroundings):
    """Run in a new process and return its messages."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LC_")}
    environment = {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **surroundings}
    command = [*COMMAND, *map(str, arguments)]
    found = subprocess.run(command, env=environment, capture_output=True, check=False)
    output = found.stderr.decode("utf-8", "replace")
    assert found.returncode == code, output
    return output


@pytest.fixture(scope="module")
def named(scenes, tmp_path_factory):
    """Scenes with ids and classes that are not ASCII."""
    folder = shutil.copytree(scenes, tmp_path_factory.mktemp("named") / "scenes")
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        if path.suffix in (".txt", ".xml"):
            text = path.read_text().replace("train-", "straße-").replace("disc", "диск")
            path.write_text(text, encoding="utf-8")
        renamed = path.name.replace("train-", "straße-").replace("disc", "диск")
        path.rename(path.with_name(renamed))
    return folder


def test_names_that_are_not_ascii_in_another_locale_and_time_zone(named, config_file, tmp_path):
    given = [config_file, f"data.root={named}", "rounds.count=1"]
    assert wsseg("run", *given, f"run_dir={tmp_path / 'a'}") == 0
    shutil.copytree(tmp_path / "a", run := tmp_path / "b")
    for made in ("round-1/model", "seeds/quality", "report"):
        shutil.rmtree(run / made)
    output = run_apart(*given, f"run_dir={run}", LC_ALL="C", TZ="Asia/Kathmandu")
    assert "seeds: up to date" in output and "round-1: up to date" in output
    assert_same_run(run, tmp_path / "a")


def test_file_names_of_an_old_locale_are_refused(scenes, config_file, tmp_path):
    given = [config_file, f"data.root={scenes}", f"run_dir={tmp_path / 'run'}"]
    output = run_apart(*given, code=2, **ASCII)
    assert output == (
        "error: the encoding of file names must be UTF-8, whatever the locale, got ascii; "
        "set PYTHONUTF8=1\n"
    )


@pytest.mark.parametrize("hours", [-24 * 365, 1])
def test_a_clock_that_jumps_between_attempts_changes_nothing(
    finished, scenes, config_file, tmp_path, hours
):
    run = shutil.copytree(finished, tmp_path / "run")
    for made in ("round-1/quality", "round-2/model"):
        shutil.rmtree(run / made)
    (run / "round-2" / "manifest.json").unlink()
    there, now = {path.name for path in (run / "seeds").iterdir()}, time.time
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "time", lambda: now() + 3600 * hours)
        patched.setattr(time, "time_ns", lambda: int(1e9 * time.time()))
        assert wsseg("run", config_file, f"data.root={scenes}", f"run_dir={run}") == 0
    assert {path.name for path in (run / "seeds").iterdir()} == there
    assert_same_run(run, finished)
    assert all(manifest["seconds"] >= 0 for manifest in manifests(run).values())


def test_times_of_files_that_a_run_made_mean_nothing(finished, scenes, config_file, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    for number, path in enumerate(sorted(run.rglob("*"))):
        os.utime(path, (number, number))
    shutil.rmtree(run / "report")
    times = {path: path.stat().st_mtime_ns for path in run.rglob("labels/*.png")}
    assert wsseg("run", config_file, f"data.root={scenes}", f"run_dir={run}") == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert_same_run(run, finished)


DEMO = [
    "data.format=voc",
    "rounds.count=1",
    "crf.iterations=1",
    "data.val=null",
    "trainer.steps=4",
    "machine.checkpoint_every=2",
]


def test_the_demo_run_twice_is_the_same_bit_by_bit(tmp_path):
    write_scenes(tmp_path / "scenes", train=12, val=0, seed=0)
    demo = [ROOT / "configs" / "demo_boxes.yaml", *DEMO, f"data.root={tmp_path / 'scenes'}"]
    one, two = tmp_path / "one", tmp_path / "two"
    run_apart(*demo, f"run_dir={one}", "machine.workers=1", PYTHONHASHSEED="1")
    run_apart(*demo, f"run_dir={two}", "machine.workers=2", PYTHONHASHSEED="2", TZ="Asia/Kathmandu")
    assert hashes(one)
    assert_same_run(two, one)


def test_text_is_read_and_written_with_an_encoding():
    """ruff's PLW1514 misses methods of paths of unknown type."""
    for path in sorted((ROOT / "wsseg").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in ("read_text", "write_text"):
                named = {keyword.arg for keyword in node.keywords}
                assert "encoding" in named, f"{path}, line {node.lineno}"
