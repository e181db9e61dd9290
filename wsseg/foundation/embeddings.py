"""A SAM model whose embeddings are computed once per image, and kept in a folder on request."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
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
    are exact, about 16 MB for each image and SAM 2. The last embeddings stay in memory.

    Args:
        folder: Folder of the files of all models; None keeps embeddings in memory alone.
    """

    def __init__(self, sam: Sam, folder: Path | None = None) -> None:
        self.sam = sam
        self._folder = None if folder is None else folder / sam.weights.sha256[:16]
        self._ready: OrderedDict[str, Embedding] = OrderedDict()
        self._most = 2
        self._lock = threading.Lock()

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Encode images in one batch, so that ``embedding`` returns each of them at once.

        Args:
            images: Each (H, W, 3) uint8 RGB. Those in the folder are not encoded again.

        Raises:
            InputError: See ``Sam.encode``.
        """
        new = {_digest(image): image for image in images}
        new = {digest: image for digest, image in new.items() if not self._has_file(digest)}
        if new:
            # The batch before is still in use.
            self._most = max(self._most, 2 * len(new))
            for digest, embedding in zip(new, self.sam.encode(list(new.values())), strict=True):
                self._keep(digest, embedding)

    def embedding(self, image: NDArray[np.uint8]) -> Embedding:
        """Return the embedding of an image (H, W, 3) uint8 RGB.

        Raises:
            InputError: See ``Sam.encode``.
        """
        digest = _digest(image)
        with self._lock:
            made = self._ready.get(digest)
        if made is None and (made := self._read(digest)) is None:
            (made,) = self.sam.encode([image])
        self._keep(digest, made)
        if self._folder is not None and not self._has_file(digest):
            self._write(digest, made)
        return made

    def _keep(self, digest: str, embedding: Embedding) -> None:
        """Keep an embedding in memory, and forget the oldest ones."""
        with self._lock:
            self._ready[digest] = embedding
            self._ready.move_to_end(digest)
            while len(self._ready) > self._most:
                self._ready.popitem(last=False)

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> Masks:
        """Return three masks for each prompt; see ``Sam.decode``."""
        return self.sam.decode(embedding, prompts)

    def _path(self, digest: str) -> Path:
        return (self._folder or Path()) / f"{digest}.safetensors"

    def _has_file(self, digest: str) -> bool:
        return self._folder is not None and self._path(digest).is_file()

    def _read(self, digest: str) -> Embedding | None:
        """Return an embedding of the folder; None if it has none, or a damaged one."""
        if not self._has_file(digest):
            return None
        path = self._path(digest)
        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["image"])
                tensors = [file.get_tensor(str(i)) for i in range(len(file.keys()))]
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            path.unlink(missing_ok=True)
            return None
        on_device = tuple(tensor.to(self.sam.device) for tensor in tensors)
        return Embedding(on_device, tuple(about["size"]), tuple(about["frame"]), about["side"])

    def _write(self, digest: str, embedding: Embedding) -> None:
        tensors = {str(i): t.cpu().contiguous() for i, t in enumerate(embedding.tensors)}
        about = json.dumps({name: getattr(embedding, name) for name in ("size", "frame", "side")})
        with atomic_write(self._path(digest)) as file:
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
