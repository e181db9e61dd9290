"""Label stages on a cluster of two Ray nodes on this machine, one of which is killed."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from helpers.running import hashes, wsseg

from wsseg import __version__ as wsseg_version
from wsseg.data.model import Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.networks.params import MachineParams
from wsseg.parallel import Skipped
from wsseg.runs.cluster import _Place, check_engine
from wsseg.runs.config import Config
from wsseg.runs.engine import map_samples

ray = pytest.importorskip("ray", reason="needs wsseg[ray]")
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture(scope="module")
def cluster():
    """A head node of one core; each test adds the second node."""
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def config(cluster, tmp_path):
    machine = MachineParams(engine="ray", ray={"address": cluster.address})
    return Config(run_dir=tmp_path, data=DataParams(root=tmp_path), machine=machine)


def samples(folder, count):
    return [Sample(str(i), folder / f"{i}.jpg", (1, 1), (), "train") for i in range(count)]


def begun(sample):
    """Number of times that the work on an image has begun, this one included."""
    attempts = sample.image.with_suffix(".attempts")
    with attempts.open("a") as file:
        file.write("x")
    return len(attempts.read_text())


def slow(sample):
    begun(sample)
    time.sleep(0.2)
    return sample.id


def dying(sample):
    if sample.id == "2" and begun(sample) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample.id


def dead(_):
    os.kill(os.getpid(), signal.SIGKILL)


def bad(sample):
    if sample.id == "1":
        raise InputError("1.jpg", "a readable image", "rubbish", "remove it")
    return os.environ["OMP_NUM_THREADS"]


def test_a_killed_worker_costs_its_image_in_flight(config, tmp_path):
    found = list(map_samples(dying, samples(tmp_path, 5), config))
    assert sorted(map(str, found)) == ["0", "1", "2", "3", "4"]
    assert (tmp_path / "2.attempts").read_text() == "xx"


def test_a_killed_node_costs_its_images_in_flight(cluster, config, tmp_path):
    second = cluster.add_node(num_cpus=1)
    found = []
    for result in map_samples(slow, samples(tmp_path, 24), config):
        found.append(result)
        if len(found) == 8:
            cluster.remove_node(second, allow_graceful=False)
    assert sorted(map(str, found)) == sorted(map(str, range(24)))
    attempts = [len(path.read_text()) for path in tmp_path.glob("*.attempts")]
    assert len(attempts) == 24 and sum(attempts) - 24 <= 2  # one at work, one that was next


def test_an_image_that_kills_every_worker_is_explained(config, tmp_path, monkeypatch):
    monkeypatch.setattr("wsseg.runs.cluster.RETRIES", 1)
    with pytest.raises(InputError, match="workers of the cluster were lost repeatedly"):
        list(map_samples(dead, samples(tmp_path, 2), config))


def test_bad_images_are_skipped_or_stop_a_strict_run(config, tmp_path):
    found = list(map_samples(bad, samples(tmp_path, 3), config))
    assert [each for each in found if not isinstance(each, Skipped)] == ["1", "1"]
    assert [each.id for each in found if isinstance(each, Skipped)] == ["1"]
    strict = config.model_copy(update={"strict": True})
    with pytest.raises(InputError, match=r"1\.jpg must be a readable image, got rubbish"):
        list(map_samples(bad, samples(tmp_path, 3), strict))


def test_a_run_that_loses_a_node_ends_with_the_labels_of_a_local_one(
    cluster, finished, scenes, config_file, tmp_path
):
    second, run = cluster.add_node(num_cpus=1), tmp_path / "run"
    ray.shutdown()  # the command joins the cluster itself
    arguments = [config_file, f"run_dir={run}", f"data.root={scenes}", "machine.engine=ray"]
    killer = threading.Thread(target=kill_when_begun, args=(cluster, second, run / "round-1"))
    killer.start()
    assert wsseg("run", *arguments, f"machine.ray.address={cluster.address}") == 0
    killer.join()
    assert hashes(run) == hashes(finished)
    for table in finished.rglob("stats.parquet"):  # whatever order the results came in
        assert (run / table.relative_to(finished)).read_bytes() == table.read_bytes()
    assert not list(run.rglob(".partial-*"))


def kill_when_begun(cluster, node, stage):
    while not list(stage.glob("labels/*.png")):
        time.sleep(0.02)
    cluster.remove_node(node, allow_graceful=False)


def test_a_cluster_of_this_machine_alone_is_started(config, tmp_path):
    ray.shutdown()
    own = config.model_copy(update={"machine": MachineParams(engine="ray", workers=1)})
    assert list(map_samples(slow, samples(tmp_path, 3), own)) == ["0", "1", "2"]
    ray.shutdown()


def test_a_missing_cluster_is_reported(config, tmp_path):
    ray.shutdown()
    machine = MachineParams(engine="ray", ray={"address": "127.0.0.1:1"})
    nowhere = config.model_copy(update={"machine": machine})
    with pytest.raises(InputError, match=r"no cluster answers at .*address=127\.0\.0\.1:1: "):
        list(map_samples(slow, samples(tmp_path, 1), nowhere))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (_Place(Path.cwd(), (Path("/nowhere"),), wsseg_version), "node .* has no folder /nowhere"),
        (_Place(Path.cwd(), (), "0.0.1"), rf"has wsseg {wsseg_version} instead of 0\.0\.1"),
    ],
)
def test_a_node_that_lacks_something_is_reported(place, message):
    with pytest.raises(InputError, match=message):
        place.enter()


def test_ray_must_be_installed(config, monkeypatch):
    monkeypatch.setattr("wsseg.runs.cluster.find_spec", lambda _: None)
    with pytest.raises(InputError, match="engine=ray needs the package ray"):
        check_engine(config)
