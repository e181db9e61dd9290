"""Two machines that train one network, played by two processes on this one."""

import json
import os
import subprocess
import sys

import pytest
from helpers.running import ROOT, hashes, wsseg

from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.networks.params import SegmenterTrainingParams
from wsseg.runs.config import Config
from wsseg.runs.nodes import TrainedTogetherError, check_nodes, follows
from wsseg.runs.stage import Run, open_run


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_RANK", "0")
    trainer = SegmenterTrainingParams(num_nodes=2)
    return Config(run_dir=tmp_path / "run", data=DataParams(root=tmp_path), trainer=trainer)


@pytest.mark.parametrize(
    ("rank", "num_nodes", "expected"), [("0", 2, False), ("1", 2, True), ("7", 1, False)]
)
def test_the_first_of_several_leads(rank, num_nodes, expected, monkeypatch):
    monkeypatch.setenv("NODE_RANK", rank)
    assert follows(num_nodes) is expected


@pytest.mark.parametrize("rank", ["2", "-1", "first", ""])
def test_ranks_that_there_are_not(rank, monkeypatch):
    monkeypatch.setenv("NODE_RANK", rank)
    with pytest.raises(InputError, match="NODE_RANK must be a number from 0 to 1"):
        follows(2)


@pytest.mark.parametrize("name", ["NODE_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_machines_that_cannot_find_each_other(name, monkeypatch):
    for other in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(other, "1")
    check_nodes(2)
    monkeypatch.delenv(name)
    check_nodes(1)
    with pytest.raises(InputError, match=f"{name} must be set on each of 2 machines"):
        check_nodes(2)


def test_a_follower_writes_nothing_and_waits(config, monkeypatch):
    leader = Run(config.run_dir, config).stage("round-1/model", num_nodes=2)
    with leader.work() as record:
        record["loss"] = [1.0]
    before = {path: path.stat().st_mtime_ns for path in config.run_dir.rglob("*")}
    monkeypatch.setenv("NODE_RANK", "1")
    with open_run(config) as run:
        follower = run.stage("round-1/model", num_nodes=2)
        assert (follower.key, follower.leads) == (leader.key, False) and follower.is_complete
        with follower.work() as record:
            record["loss"] = [2.0]
            raise TrainedTogetherError
        assert follower.manifest["loss"] == [1.0]
    assert {path: path.stat().st_mtime_ns for path in config.run_dir.rglob("*")} == before


def on_machine(rank, port, arguments):
    script = [sys.executable, str(ROOT / "pipelines" / "boxes.py"), *arguments]
    own = {"NODE_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment = {**os.environ, **own, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(script, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_machines_end_with_the_labels_of_one_with_two_devices(scenes, config_file, tmp_path):
    both = [str(config_file), f"data.root={scenes}", "rounds.count=2", "workers=1"]
    together = [*both, f"run_dir={tmp_path / 'together'}", "trainer.num_nodes=2"]
    machines = [on_machine(rank, 29517, together) for rank in (1, 0)]
    said = [machine.communicate(timeout=500)[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert "waiting for the first machine" in said[0]
    assert "waiting" not in said[1]
    assert wsseg("run", *both, f"run_dir={tmp_path / 'alone'}", "trainer.devices=2") == 0
    assert hashes(tmp_path / "together") == hashes(tmp_path / "alone")
    losses = [
        json.loads((tmp_path / name / "round-1" / "model" / "manifest.json").read_text())["loss"]
        for name in ("together", "alone")
    ]
    assert losses[0] == losses[1]
