import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from wsseg.cli.doctor import devices

GIB = 1024**3


class Usage(NamedTuple):
    total: int


def looked():
    return {each.subject: each for each in devices.look()}


def test_a_cpu_alone_is_enough(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = looked()
    assert found["CPU"].state == found["GPU"].state == "ok"
    assert f"torch's threads: {torch.get_num_threads()}" in found["CPU"].found
    assert "the CPU" in found["GPU"].found


def test_every_gpu_and_its_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (number * GIB, 8 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"card {number}")
    found = looked()
    assert "GPU" not in found
    assert found["GPU 0"].found == "card 0, 0.0 of 8.0 GiB free"
    assert found["GPU 1"].found == "card 1, 1.0 of 8.0 GiB free"


@pytest.mark.parametrize(("size", "state"), [(64 * 1024**2, "warning"), (GIB, "ok")])
def test_little_shared_memory_is_told(monkeypatch, tmp_path, size, state):
    monkeypatch.setattr(devices, "_SHARED", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(size))
    found = looked()["shared memory"]
    assert found.state == state
    assert ("--shm-size" in found.remedy) == (state == "warning")


def test_without_shared_memory_nothing_is_said(monkeypatch):
    monkeypatch.setattr(devices, "_SHARED", Path("/no/such/folder"))
    assert "shared memory" not in looked()


def test_ray_is_told_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(devices, "version", lambda name: f"{name} 2")
    assert looked()["ray"].found == "ray 2"

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(devices, "version", missing)
    assert "ray" not in looked()
