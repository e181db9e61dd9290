import errno
import io
from pathlib import Path

import pytest
import torch

from wsseg.learning import weights as module


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "atomic_write", lambda _: FullDisk())
    with pytest.raises(OSError, match="No space left"):
        module.write_checkpoint(tmp_path / "last.ckpt", {"weights": torch.zeros(9)})
