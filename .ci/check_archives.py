"""Check that the archives in dist/ hold all of wsseg, and nothing else.

python .ci/check_archives.py
"""

import subprocess
import sys
import tarfile
from collections.abc import Iterable
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
ROOMS = {"wsseg": "wsseg", "pipelines": "wsseg/pipelines", "configs": "wsseg/configs"}
BESIDE = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt"}
ADDED = {"PKG-INFO", ".gitignore"}  # by hatchling


def main() -> int:
    """Check both archives and return the exit code."""
    (wheel,), (source,) = ((ROOT / "dist").glob(f"*{end}") for end in (".whl", ".tar.gz"))
    tracked = _tracked()
    in_wheel = {f"{ROOMS[room]}/{rest}" for room, rest in (path.split("/", 1) for path in tracked)}
    wrong = [*_wheel(wheel, in_wheel), *_source(source, tracked | BESIDE | ADDED)]
    print("\n".join(wrong) or f"{wheel.name} and {source.name}: {len(tracked)} files of wsseg each")
    return 1 if wrong else 0


def _tracked() -> set[str]:
    """Files of the rooms that git knows or would add."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *ROOMS]
    found = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {path for path in found.splitlines() if (ROOT / path).is_file()}


def _wheel(path: Path, expected: set[str]) -> list[str]:
    with ZipFile(path) as archive:
        names = set(archive.namelist())
        about = {name for name in names if ".dist-info/" in name}
        (metadata,) = (name for name in about if name.endswith("/METADATA"))
        described = message_from_bytes(archive.read(metadata))
    return [*_compared(path, names - about, expected), *_described(path, described)]


def _source(path: Path, expected: set[str]) -> list[str]:
    with tarfile.open(path) as archive:
        files = [member.name for member in archive if member.isfile()]
        (metadata,) = (name for name in files if name.endswith("/PKG-INFO"))
        held = archive.extractfile(metadata)
        described = message_from_bytes(held.read() if held else b"")
    inside = {name.split("/", 1)[1] for name in files}
    return [*_compared(path, inside, expected), *_described(path, described)]


def _compared(path: Path, found: set[str], expected: set[str]) -> Iterable[str]:
    yield from (f"{path.name} lacks {name}" for name in sorted(expected - found))
    yield from (f"{path.name} should not hold {name}" for name in sorted(found - expected))


def _described(path: Path, metadata: Message) -> Iterable[str]:
    """What an installer and a reader of the archive must be told."""
    wanted = ("Name", "Version", "Requires-Python", "Requires-Dist", "License-Expression")
    yield from (f"{path.name}: no {name}" for name in wanted if not metadata[name])
    if not path.name.startswith(f"{metadata['Name']}-{metadata['Version']}"):
        yield f"{path.name} is of {metadata['Name']} {metadata['Version']}"
    if "# wsseg" not in str(metadata.get_payload()):
        yield f"{path.name}: no README"


if __name__ == "__main__":
    sys.exit(main())
