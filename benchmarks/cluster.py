"""A run on a Ray cluster that loses nodes, against the same run in local processes.

    python -m benchmarks.cluster configs/msrc_boxes.yaml [key=value ...] [--out DIR]

The cluster has two nodes of one core on this machine; the local run has two processes. In each
stage of labels the second node is killed when a few images are there, and another takes its place.
Prints what each run took, and whether all label maps and tables are the same, byte by byte.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

_FEW = 10  # images after which a node is killed
_COMMAND = [sys.executable, "-c", "from wsseg.cli import main; main()", "run"]


def main() -> None:
    """Print a line a run, and the comparison."""
    arguments, overrides = _arguments()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="wsseg-cluster-"))
    local, remote = out / "local", out / "ray"
    spent = seconds(arguments.config, overrides, local, "machine.workers=2")
    print(f"local, 2 processes: {spent:.0f} s")
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    engine = ["machine.engine=ray", f"machine.ray.address={cluster.address}"]
    started = time.perf_counter()
    command = [*_COMMAND, str(arguments.config), *overrides, f"run_dir={remote}", *engine]
    with subprocess.Popen(command) as process:
        killed = kill_nodes(cluster, remote, process)
    if process.returncode:
        sys.exit(f"the run on the cluster failed with {process.returncode}; see above")
    taken = time.perf_counter() - started
    print(f"ray, 2 nodes, killed in {', '.join(killed) or 'no stage'}: {taken:.0f} s")
    cluster.shutdown()
    ours, theirs = contents(local), contents(remote)
    differing = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    print(f"{len(ours)} label maps and tables, {len(differing)} of them differ {differing[:5]}")


def seconds(config: Path, overrides: Sequence[str], run: Path, *more: str) -> float:
    """Run a pipeline in local processes."""
    started = time.perf_counter()
    subprocess.run([*_COMMAND, str(config), *overrides, f"run_dir={run}", *more], check=True)
    return time.perf_counter() - started


def kill_nodes(cluster: Any, run: Path, process: "subprocess.Popen[bytes]") -> list[str]:
    """Kill the second node once in each stage of labels, and start another."""
    node, killed = cluster.add_node(num_cpus=1), list[str]()
    while process.poll() is None:
        for folder in run.rglob("labels"):
            stage = folder.parent.relative_to(run).as_posix()
            is_done = (folder.parent / "manifest.json").exists()
            if stage not in killed and not is_done and len(list(folder.glob("*.png"))) >= _FEW:
                cluster.remove_node(node, allow_graceful=False)
                node, killed = cluster.add_node(num_cpus=1), [*killed, stage]
        time.sleep(0.1)
    return killed


def contents(run: Path) -> dict[str, str]:
    """Return hashes of all label maps and tables of a run."""
    files = [*run.rglob("labels/*.png"), *run.rglob("stats.parquet")]
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, help="Kept; otherwise a temporary folder.")
    return parser.parse_known_args()


if __name__ == "__main__":
    main()
