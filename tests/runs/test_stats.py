import math
from typing import Any

import pytest

from wsseg.errors import DamagedError
from wsseg.runs.stats import read_stats, stats_batches, write_stats

GROUPS: list[list[dict[str, Any]]] = [
    [{"id": "a", "count": 1, "share": math.nan, "sizes": [], "found": []}],
    [{"id": "b", "share": 1}, {"id": "c", "count": 2, "sizes": [3], "found": [{"iou": 0.5}]}],
]


def groups():
    yield from GROUPS


def test_groups_of_rows_become_one_table(tmp_path):
    write_stats(tmp_path, groups)
    assert read_stats(tmp_path).to_pylist() == [
        {"id": "a", "count": 1, "share": None, "sizes": [], "found": []},
        {"id": "b", "count": None, "share": 1.0, "sizes": None, "found": None},
        {"id": "c", "count": 2, "share": None, "sizes": [3], "found": [{"iou": 0.5}]},
    ]
    assert read_stats(tmp_path, ["id"]).to_pylist() == [{"id": "a"}, {"id": "b"}, {"id": "c"}]


def test_a_table_is_read_in_parts(tmp_path):
    write_stats(tmp_path, groups)
    parts = [batch["id"].to_pylist() for batch in stats_batches(tmp_path, 1)]
    assert parts == [["a"], ["b"], ["c"]]


def test_how_rows_are_grouped_changes_no_value(tmp_path):
    write_stats(tmp_path / "one", lambda: [[row for rows in GROUPS for row in rows]])
    write_stats(tmp_path / "two", groups)
    assert read_stats(tmp_path / "one").equals(read_stats(tmp_path / "two"))


def test_no_rows_are_a_table_without_columns(tmp_path):
    write_stats(tmp_path, lambda: [])
    assert read_stats(tmp_path).to_pandas().empty
    assert list(stats_batches(tmp_path, 10)) == []


@pytest.mark.parametrize("content", [b"", b"PAR1", b"nothing", None])
def test_what_is_no_table_is_reported(tmp_path, content):
    if content is not None:
        (tmp_path / "stats.parquet").write_bytes(content)
    with pytest.raises(DamagedError, match=r"stats\.parquet must be the table of its stage"):
        read_stats(tmp_path)
    with pytest.raises(DamagedError, match=r"stats\.parquet must be the table of its stage"):
        list(stats_batches(tmp_path, 10))


def test_changed_bytes_are_noticed(tmp_path):
    write_stats(tmp_path, lambda: [[{"id": str(i), "value": i * 0.37} for i in range(500)]])
    path = tmp_path / "stats.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="a damaged file"):
        read_stats(tmp_path)
