import errno
import io

import pytest
import torch

from wsseg.networks import checkpoints as module


def test_a_full_disk_is_reported_as_such(tmp_path, monkeypatch):
    class FullDisk(io.RawIOBase):
        def writable(self):
            return True

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "atomic_write", lambda _: FullDisk())
    with pytest.raises(OSError, match="No space left"):
        module.write_checkpoint(tmp_path / "last.ckpt", {"weights": torch.zeros(9)})
