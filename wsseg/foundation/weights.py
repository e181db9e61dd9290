"""Weights of foundation models: found in a local folder or on the hub, checked, and identified."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub import is_offline_mode, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open

from wsseg.errors import InputError
from wsseg.files import read_record
from wsseg.foundation.families import FAMILIES, Kind, published_licence

_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "README.md", "LICENSE*")
_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth")
_PREPARATION = ("preprocessor_config.json", "processor_config.json")
_TOKENIZERS = ("tokenizer.json", "vocab.json")
_CHUNK = 2**22  # bytes read at a time


@dataclass(frozen=True)
class FoundationWeights:
    """The files of a foundation model on this machine.

    Attributes:
        name: Folder or name on the hub, as it was given.
        family: Key of ``FAMILIES``.
        folder: Folder of ``config.json`` and the tensors.
        model_type: ``model_type`` of ``config.json``.
        revision: Commit of the files on the hub; None for a folder of the user.
        licence: As the folder states it, else that of the weights the authors published.
    """

    name: str
    family: str
    folder: Path
    model_type: str
    revision: str | None
    licence: str

    @property
    def kind(self) -> Kind:
        """The classes of transformers for this model."""
        return FAMILIES[self.family][self.model_type]

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 over the configuration and all tensor files, in order of names."""
        files = [*self.folder.glob("*config.json"), *self.folder.glob("*.safetensors")]
        status = [file.stat() for file in sorted(files)]
        return _sha256(tuple(sorted(files)), tuple((s.st_size, s.st_mtime_ns) for s in status))

    def record(self) -> dict[str, Any]:
        """Return what identifies the model: the results made with it depend on nothing else."""
        return {
            "name": self.name,
            "type": self.model_type,
            "revision": self.revision,
            "licence": self.licence,
            "sha256": self.sha256,
        }


def find_weights(name: str | None, family: str, setting: str) -> FoundationWeights:
    """Return the weights of a model that are on this machine; nothing is downloaded.

    Args:
        name: A folder that contains ``config.json`` and ``*.safetensors``, or the name of a model
            on the Hugging Face Hub, such as "facebook/sam2.1-hiera-tiny", perhaps followed by "@"
            and a revision.
        family: Key of ``FAMILIES``.
        setting: The configuration key that contains the name, used in errors.

    Raises:
        InputError: The name is missing, the weights are not on this machine, incomplete, damaged
            or only there as a pickle, or they belong to a model of another family.
    """
    folder, revision = _local_folder(name, family, setting)
    return _check(str(name), folder, revision, family, setting)


def fetch_weights(name: str | None, family: str, setting: str) -> FoundationWeights:
    """Return the weights of a model after downloading them, unless they are on this machine.

    Raises:
        InputError: As ``find_weights``, or the model cannot be downloaded, for example because its
            licence has not been accepted.
    """
    if name and must_be_downloaded(name):
        _download(name, family, setting)
    return find_weights(name, family, setting)


def must_be_downloaded(name: str) -> bool:
    """Return whether a name is one of the hub whose files are not on this machine yet."""
    if _is_folder(name):
        return False
    try:
        folder = _snapshot(name, local=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return True
    # An interrupted download leaves a folder without all of its tensors.
    return any(not (folder / file).is_file() for file in _tensor_names(folder))


def _is_folder(name: str) -> bool:
    """Return whether a name is that of a folder; a name on the hub is "owner/model"."""
    looks_local = name.startswith((".", "/", "~")) or name.count("/") != 1 or "\\" in name
    return looks_local or Path(name).exists()


def _local_folder(name: str | None, family: str, setting: str) -> tuple[Path, str | None]:
    if not name:
        remedy = "name the folder of its weights, or a model of the Hugging Face Hub"
        raise InputError(setting, f"the name of a {family} model", "nothing", remedy)
    if _is_folder(name):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            hint = "name the folder of the weights; a model of the hub is named owner/model"
            raise InputError(f"{setting}: there is no folder {name}", hint=hint)
        return folder, None
    try:
        folder = _snapshot(name, local=True)
    except HFValidationError as error:
        rule = "a folder, or the name of a model on the hub such as owner/model"
        raise InputError(setting, rule, repr(name), "correct it") from error
    except LocalEntryNotFoundError as error:
        licence = published_licence(name, family)
        raise InputError(
            f"The weights of {name} ({setting}, licence {licence}) are not on this machine, and"
            f" {Path.cwd()} has no folder of this name",
            hint=_how_to_get(name),
        ) from error
    return folder, folder.name


def _how_to_get(name: str) -> str:
    repository = name.partition("@")[0]
    return (
        "connect to the network once, or download them on another machine with"
        f" `hf download {repository} --local-dir FOLDER`, bring the folder along and name it"
    )


def _snapshot(name: str, *, local: bool) -> Path:
    repository, _, revision = name.partition("@")
    folder = snapshot_download(
        repository,
        revision=revision or None,
        allow_patterns=list(_FILES),
        local_files_only=local,
    )
    return Path(folder)


def _download(name: str, family: str, setting: str) -> None:
    about = f"{name} ({setting}, licence {published_licence(name, family)})"
    if is_offline_mode():
        raise InputError(
            f"The weights of {about} are not on this machine, and HF_HUB_OFFLINE forbids downloads",
            hint=f"unset it, {_how_to_get(name)}",
        )
    try:
        _snapshot(name, local=False)
    except HFValidationError as error:
        rule = "a folder, or the name of a model on the hub such as owner/model"
        raise InputError(setting, rule, repr(name), "correct it") from error
    except GatedRepoError as error:
        hint = (
            "accept the licence on its page of the Hugging Face Hub, run `hf auth login` and run"
            " this command again, or choose a model that needs no permission, such as"
            " facebook/sam2.1-hiera-tiny"
        )
        raise InputError(f"The weights of {about} are gated", hint=hint) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise InputError(
            f"The Hugging Face Hub has no public model {about}", hint="correct the name"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"The weights of {about} cannot be downloaded: {reason:.200}", hint=_how_to_get(name)
        ) from error


def _check(
    name: str, folder: Path, revision: str | None, family: str, setting: str
) -> FoundationWeights:
    about = f"{setting} {name}"
    config = read_record(folder / "config.json")
    if not config:
        raise InputError(
            f"{about} has no readable config.json", hint=f"download the model again to {folder}"
        )
    model_type = str(config.get("model_type"))
    if model_type not in FAMILIES[family]:
        rule = f"a {family} model ({', '.join(FAMILIES[family])})"
        raise InputError(about, rule, f"a model of type {model_type}", "name another model")
    for path in _tensor_files(folder, about):
        _check_tensors(path)
    if not any((folder / name).is_file() for name in _PREPARATION):
        hint = f"download the whole model again to {folder}, not its tensors alone"
        raise InputError(f"{about} has no preprocessor_config.json", hint=hint)
    reads_text = FAMILIES[family][model_type].reads_text
    if reads_text and not any((folder / name).is_file() for name in _TOKENIZERS):
        hint = f"download the whole model again to {folder}, not its tensors alone"
        raise InputError(f"{about} has no tokenizer.json", hint=hint)
    published = FAMILIES[family][model_type].licence
    unstated = published if revision else f"not stated (published weights: {published})"
    licence = _stated_licence(folder) or unstated
    return FoundationWeights(name, family, folder, model_type, revision, licence)


def _tensor_files(folder: Path, about: str) -> Iterator[Path]:
    """Yield the tensor files of a model, all of which exist."""
    names = _tensor_names(folder)
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        yield from (folder / name for name in names)
        return
    pickles = [path.name for pattern in _PICKLES for path in folder.glob(pattern)]
    if pickles and names == [_SINGLE]:
        raise InputError(
            f"{about} has its weights only as a pickle ({pickles[0]}), which can run any code",
            hint="download model.safetensors, or convert it where you trust it:"
            " AutoModel.from_pretrained(folder).save_pretrained(folder)",
        )
    rest = f" and {len(missing) - 1} more" if missing[1:] else ""
    hint = f"the download is incomplete: fetch the model again to {folder}"
    raise InputError(f"{about} lacks {missing[0]}{rest}", hint=hint)


def _tensor_names(folder: Path) -> list[str]:
    """Return the names of the tensor files that a model consists of."""
    shards = read_record(folder / _INDEX).get("weight_map")
    # The names of files in the folder, wherever a path in them may lead.
    names = (
        {Path(str(name)).name for name in shards.values()} if isinstance(shards, dict) else set()
    )
    return sorted(names) or [_SINGLE]


def _check_tensors(path: Path) -> None:
    """Raise unless the header of a file of safetensors is readable and its data are complete."""
    try:
        with safe_open(path, "pt") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise InputError(
            path,
            "a complete file of safetensors",
            " ".join(str(error).split()),
            "download it again",
        ) from error


def _stated_licence(folder: Path) -> str | None:
    """Return the licence in the head of the file README.md of a model, None if it has none."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")[:10_000]
    except OSError:
        return None
    head = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    lines = head[1].splitlines() if head else []
    values = dict(line.split(":", 1) for line in lines if re.match(r"license(_name)?:", line))
    licence = values.get("license_name", values.get("license", "")).strip()
    return licence or None


@lru_cache(maxsize=16)
def _sha256(files: tuple[Path, ...], _status: tuple[tuple[int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
