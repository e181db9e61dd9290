"""``wsseg check`` on hostile data sets: a message, bounded time and memory, nothing written."""

from pathlib import Path

import pytest
from helpers.formats import FORMATS
from hostile.cases import ANY_FILE, CASES
from hostile.changes import write
from hostile.commands import MEMORY, files


def check(command, root, format):
    """Run ``wsseg check``, and assert what holds for every result."""
    small = FORMATS[format]()
    over = [root / small.over] if small.over else []
    before = files(root.parent)
    done = command("check", root, *over, "--format", small.format, "--all")
    assert files(root.parent) == before
    assert done.code in {0, 1, 2} and "Traceback" not in done.err, done
    assert "Warning" not in done.err
    assert done.memory < MEMORY
    if done.code == 2:
        assert done.out == "" and done.err.count("\n") == 1
        assert done.err.startswith("error: ") and done.err[:-1].isprintable()
    else:
        assert done.out.endswith(" warnings\n")
        assert all(line.isprintable() for line in done.out.splitlines())
    return done


@pytest.mark.parametrize("format", FORMATS)
def test_data_sets_are_sound_before_they_are_changed(command, tmp_path, format):
    done = check(command, FORMATS[format]().write(tmp_path / "set"), format)
    assert done.code == 0 and "\n0 errors" in done.out and done.err == ""


@pytest.mark.parametrize(
    "case", [case for cases in CASES.values() for case in cases], ids=lambda case: case.tried
)
def test_hostile_input_is_reported(command, tmp_path, case):
    root = FORMATS[case.format]().write(tmp_path / "set")
    (tmp_path / "secret.png").write_bytes(b"not yours")
    (tmp_path / "elsewhere").mkdir()
    case.change(root)
    done = check(command, root, case.format)
    assert done.code == case.code, done.said
    assert case.says in done.said
    assert "not yours" not in done.said and "root:" not in done.said


WRITTEN = [(format, name) for format, make in FORMATS.items() for name in make().drawn]


@pytest.mark.parametrize(("format", "name"), WRITTEN)
@pytest.mark.parametrize(
    "tried",
    [
        tried if tried in {"empty", "a pipe"} else pytest.param(tried, marks=pytest.mark.slow)
        for tried in ANY_FILE
    ],
)
def test_any_file_may_be_anything(command, tmp_path, tried, format, name):
    root = FORMATS[format]().write(tmp_path / "set")
    ANY_FILE[tried](name)(root)
    done = check(command, root, format)
    reported = (Path(name).stem, str(root), r"image '\x00")
    assert done.code == 0 or any(words in done.said for words in reported)


def test_other_encodings_of_any_file_are_reported(command, tmp_path):
    for format, name in WRITTEN:
        if format in {"folders", "scribbles_png"}:
            continue
        root = FORMATS[format]().write(tmp_path / format / "set")
        content = (root / name).read_bytes().decode()
        write(root / name, content.encode("utf-16"))
        done = check(command, root, format)
        assert done.code == 0, (name, done)  # its byte order mark states the encoding
        write(root / name, content.encode() + b"\xff")
        done = check(command, root, format)
        assert done.code and name in done.said, (name, done)
