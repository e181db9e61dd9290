import pytest

from wsseg.errors import InputError
from wsseg.stages.selection.candidates import read_known_ids


@pytest.mark.parametrize("text", ["b\na x\n", "﻿b\r\n\r\na x", "b\na x\nb\n\n"])
def test_ids_a_line(tmp_path, text):
    (tmp_path / "ids.txt").write_bytes(text.encode())
    assert read_known_ids(tmp_path / "ids.txt", ["a x", "b", "c"]) == ("b", "a x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\xff", "UTF-8 text"),
        (b"cov", "ids of images of the split, got 'cov'; did you mean 'cow'?"),
    ],
)
def test_invalid_lists_are_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "ids.txt").write_bytes(content)
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        read_known_ids(tmp_path / "ids.txt", ["cow", "sheep"])
