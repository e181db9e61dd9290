"""A SAM model whose embeddings are computed once per image, and kept in a folder on request."""

import hashlib
import json
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from wsseg.files import atomic_write
from wsseg.foundation.load import load_model
from wsseg.foundation.sam import Embedding, Masks, Prompt, Sam
from wsseg.foundation.weights import find_weights


class CachedSam:
    """A SAM model with its embeddings; methods may be called from several threads.

    Embeddings are found by the content of the image, so runs and data sets share a folder. Files
    hold 16-bit floats, about 8 MB for each image and SAM 2; without a folder, embeddings are not
    rounded.

    Args:
        sam: The model.
        folder: Folder of the files of all models; None keeps embeddings in memory alone.
    """

    def __init__(self, sam: Sam, folder: Path | None = None) -> None:
        self.sam = sam
        self._folder = None if folder is None else folder / sam.weights.sha256[:16]
        self._ready: dict[str, Embedding] = {}
        self._lock = threading.Lock()

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Encode images in one batch, so that ``embedding`` returns each of them at once.

        Args:
            images: Each (H, W, 3) uint8 RGB. Those in the folder are not encoded again.

        Raises:
            InputError: See ``Sam.encode``.
        """
        new = {_digest(image): image for image in images}
        new = {digest: image for digest, image in new.items() if self._read(digest) is None}
        if new:
            embeddings = self.sam.encode(list(new.values()))
            with self._lock:
                self._ready.update(zip(new, embeddings, strict=True))

    def embedding(self, image: NDArray[np.uint8]) -> Embedding:
        """Return the embedding of an image (H, W, 3) uint8 RGB.

        Raises:
            InputError: See ``Sam.encode``.
        """
        digest = _digest(image)
        if found := self._read(digest):
            return found
        with self._lock:
            made = self._ready.pop(digest, None)
        if made is None:
            (made,) = self.sam.encode([image])
        if self._folder is None:
            return made
        self._write(digest, made)
        return self._read(digest) or made

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> Masks:
        """Return three masks for each prompt; see ``Sam.decode``."""
        return self.sam.decode(embedding, prompts)

    def _path(self, digest: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{digest}.safetensors"

    def _read(self, digest: str) -> Embedding | None:
        """Return an embedding of the folder; None if it has none, or a damaged one."""
        path = self._path(digest)
        if path is None or not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["image"])
                tensors = [file.get_tensor(str(i)).float() for i in range(len(file.keys()))]
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            return None
        on_device = tuple(tensor.to(self.sam.device) for tensor in tensors)
        return Embedding(on_device, tuple(about["size"]), tuple(about["frame"]), about["side"])

    def _write(self, digest: str, embedding: Embedding) -> None:
        path = self._path(digest)
        assert path is not None
        tensors = {
            str(i): tensor.to("cpu", torch.float16).contiguous()
            for i, tensor in enumerate(embedding.tensors)
        }
        about = json.dumps({name: getattr(embedding, name) for name in ("size", "frame", "side")})
        with atomic_write(path) as file:
            file.write(save(tensors, {"image": about}))


@lru_cache(maxsize=2)
def load_cached_sam(
    name: str | None,
    folder: Path | None = None,
    device: str = "auto",
    setting: str = "seeds.sam.model",
) -> CachedSam:
    """Return a SAM model; the last two stay in memory.

    Args:
        name: A folder, or the name of a model on the hub, which must be on this machine already.
        folder: Folder of embeddings.
        device: "auto" is the GPU if there is one; or "cpu" or "cuda".
        setting: The configuration key that contains the name, used in errors.

    Raises:
        InputError: See ``find_weights`` and ``load_model``.
    """
    return CachedSam(Sam(load_model(find_weights(name, "SAM", setting), device)), folder)


def _digest(image: NDArray[np.uint8]) -> str:
    """Return a hexadecimal hash of the size and the pixels of an image."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
