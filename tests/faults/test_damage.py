"""Truncated, empty or changed files of a run are written again, or named with a remedy."""

import shutil

import pytest
from helpers.killing import assert_same_run
from helpers.running import hashes, wsseg


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def again(scenes, config_file, run, capsys):
    """Repeats the command, and returns its exit code and messages."""

    def command(*overrides):
        capsys.readouterr()
        code = wsseg("run", config_file, f"run_dir={run}", f"data.root={scenes}", *overrides)
        return code, capsys.readouterr().err

    return command


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    """Flip a bit of the data."""
    content = bytearray(path.read_bytes())
    named = content.find(b"-000")  # an id in a table; the frame of the data has no checksum
    content[named if path.suffix == ".parquet" else len(content) // 2] ^= 1
    path.write_bytes(content)


SLOW = pytest.mark.slow
REPLACEABLE = (
    "config.yaml",
    "environment.json",
    "seeds/manifest.json",
    "seeds/attempt.json",
    "seeds/quality/manifest.json",
    "round-1/manifest.json",
    "round-2/model/manifest.json",
    "round-2/model/loss.json",
    "report/summary.json",
    "report/images/index.js",
)


@pytest.mark.parametrize("damage", [cut, empty])
@pytest.mark.parametrize(
    "files", [REPLACEABLE, *(pytest.param([file], marks=SLOW) for file in REPLACEABLE)]
)
def test_what_can_be_made_again_is(finished, run, again, damage, files):
    for file in files:
        damage(run / file)
    assert again()[0] == 0
    assert_same_run(run, finished)


@pytest.mark.parametrize(
    "damage", [cut, pytest.param(empty, marks=SLOW), pytest.param(flip, marks=SLOW)]
)
@pytest.mark.parametrize(
    ("file", "dependent"),
    [
        ("seeds/labels/train-0002.png", "round-1"),
        ("seeds/labels/train-0002.png", "seeds/signals"),
        ("seeds/labels/train-0002.png", "round-1/model"),
        ("seeds/stats.parquet", "round-1/model"),
        ("round-1/val/confidence/val-0001.png", "round-1/val/quality"),
        ("round-1/stats.parquet", "round-1/signals"),
        ("round-1/model/model.ckpt", "round-1/val"),
        ("round-2/quality/stats.parquet", "report"),
        ("round-2/signals/stats.parquet", "report"),
        ("round-2/labels/train-0002.png", "report"),
        ("round-2/rules/train-0002.png", "report"),
    ],
)
def test_what_others_are_made_from_is_named_and_made_again_once_deleted(
    finished, run, again, damage, file, dependent
):
    damage(run / file)
    shutil.rmtree(run / dependent)
    code, output = again()
    errors = [line for line in output.splitlines() if "error:" in line]
    assert code == 2 and len(errors) == 1
    rule = "is damaged or no network file" if file.endswith("model.ckpt") else "must be "
    assert f"error: {run / file} {rule}" in errors[0] and "delete" in errors[0]
    assert not (run / dependent / "manifest.json").exists()
    parts = file.split("/")
    folder = parts[0] if parts[1] in ("labels", "rules") else "/".join(parts[:2])
    shutil.rmtree((run / file).parent if "parquet" in file or "ckpt" in file else run / folder)
    assert again()[0] == 0
    assert_same_run(run, finished)


def test_an_attempt_whose_record_is_damaged_begins_anew(finished, run, again):
    (run / "round-2" / "manifest.json").unlink()
    empty(run / "round-2" / "attempt.json")
    assert again()[0] == 0
    assert_same_run(run, finished)


def test_a_damaged_label_map_in_a_loading_process_is_reported_too(run, again):
    cut(run / "round-1" / "labels" / "train-0002.png")
    shutil.rmtree(run / "round-2")
    code, output = again("machine.loader_workers=1")
    assert code == 2
    assert f"error: {run / 'round-1/labels/train-0002.png'} must be a readable label map" in output


@pytest.mark.parametrize("damage", [cut, empty])
def test_commands_on_a_run_with_damaged_settings_name_them(run, tmp_path, capsys, damage):
    damage(run / "config.yaml")
    for command in (["report", run], ["export", run, tmp_path / "out", "--to", "voc"]):
        assert wsseg(*command) == 2
        assert str(run / "config.yaml") in capsys.readouterr().err


def test_labels_of_a_damaged_run_are_never_others(finished, run, again):
    for path in run.rglob("labels/*.png"):
        flip(path)
    assert again("rounds.count=1")[0] in (0, 2)
    for stage in ("seeds", "round-1", "round-1/val", "round-2"):
        shutil.rmtree(run / stage, ignore_errors=True)
    assert again()[0] == 0
    assert hashes(run) == hashes(finished)
