"""Files of trained networks, and the checkpoints that a training resumes from."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from wsseg.bands import ImageParams
from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.files import atomic_write
from wsseg.networks.params import NetworkParams
from wsseg.networks.weights import device_of

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
_READING = ImageParams()
_REMEDY = "delete its folder to train again, or name a run whose training has ended"

Kind = Literal["segmenter", "tag classifier", "affinity network"]
N = TypeVar("N", bound=nn.Module)
P = TypeVar("P", bound=NetworkParams)


def save_network(
    path: Path,
    kind: Kind,
    network: nn.Module,
    params: NetworkParams,
    classes: Classes,
    *,
    reading: ImageParams = _READING,
) -> None:
    """Write a trained network and the parameters that it was built with to one file, atomically.

    Args:
        reading: Range and bands that the images of the training were read with.
    """
    content = {
        "kind": kind,
        "state_dict": network.state_dict(),
        "params": params.model_dump(mode="json"),
        "classes": list(classes),
        "reading": reading.model_dump(mode="json"),
    }
    write_checkpoint(path, content)


def load_network(
    path: Path, kind: Kind, params_type: type[P], build: Callable[[P, int], N], device: str = "auto"
) -> tuple[N, P, Classes, ImageParams]:
    """Return a network of ``save_network`` in eval mode, and its parameters, classes and reading.

    Args:
        build: (parameters without pre-trained weights, number of classes) -> network.
        device: "auto" is the GPU if there is one.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    content = _read_network(path, kind)
    try:
        params = params_type.model_validate(content["params"])
        classes = Classes(tuple(content["classes"]))
        network = build(params.model_copy(update={"weights": None}), len(classes))
        network.load_state_dict(content["state_dict"])
        reading = ImageParams.model_validate(content.get("reading", {}))
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        sentence = f"no {kind} can be made of {path} ({reason})"
        raise InputError(sentence, hint=_REMEDY) from error
    return network.to(device_of(device)).eval(), params, classes, reading


def saved_classes(path: Path) -> Classes:
    """Return the class names of the file of a segmenter.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    return Classes(tuple(_read_network(path, "segmenter")["classes"]))


def _read_network(path: Path, kind: Kind) -> dict[str, Any]:
    try:
        content = read_checkpoint(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", hint=_REMEDY) from error
    except Exception as error:  # torch and zipfile raise many kinds for a damaged file
        sentence = f"{path} is damaged or no network file ({type(error).__name__})"
        raise InputError(sentence, hint=_REMEDY) from error
    if not (isinstance(content, dict) and content.get("kind") == kind):
        raise InputError(f"{path} holds no {kind}", hint=_REMEDY)
    return content


def write_checkpoint(path: Path, content: Any) -> None:
    """Write tensors, numbers and texts in lists and dicts, atomically."""
    # Writing to the file directly, torch would hide the error of the disk.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: Path) -> Any:
    """Return what ``write_checkpoint`` wrote, on the CPU; read with ``weights_only``.

    Raises:
        Exception: Of many kinds, if the file is missing, cut off or changed in any bit.
    """
    with zipfile.ZipFile(path) as archive:  # torch itself compares no checksum
        damaged = archive.testzip()
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} has a wrong checksum")
    return torch.load(path, map_location="cpu", weights_only=True)


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are complete or absent, whenever the process is killed.

    The one before is kept as ``previous.ckpt``, in case the disk damages the last.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, *_: Any, **__: Any) -> None:
        """Write a checkpoint."""
        last = Path(path)
        if last.exists():  # It is renamed first, so that there are never three checkpoints.
            last.replace(last.with_name(PREVIOUS))
        write_checkpoint(last, checkpoint)


def find_checkpoint(folder: Path, report: Callable[[str], None]) -> tuple[Path | None, int]:
    """Return the newest whole checkpoint of a training; damaged ones are removed.

    Returns:
        The file, or None if there is no whole one, and the number of completed steps.
    """
    paths = [path for name in (LAST, PREVIOUS) if (path := folder / name).exists()]
    for path in paths:
        try:
            step = int(read_checkpoint(path)["global_step"])
        except Exception as error:  # torch and zipfile raise many kinds for a damaged file
            report(f"{path} is damaged ({type(error).__name__})")
            path.unlink()
        else:
            report(f"going on from step {step}")
            return path, step
    if paths:
        report("no whole checkpoint is left; training starts again")
    return None, 0
