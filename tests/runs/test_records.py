import pytest

from wsseg.runs.records import record_results, recorded_ids, rows_by_image


def result(identity, value=1):
    return identity, [{"id": identity, "value": value}]


@pytest.fixture
def lines(tmp_path):
    return tmp_path / "stats.jsonl"


def test_nothing_was_written(lines):
    assert recorded_ids(lines) == []
    record_results(lines, [])
    assert list(rows_by_image(lines)()) == []


def test_rows_come_in_the_order_of_ids_and_as_often_as_asked(lines):
    record_results(lines, [result("b"), result("a"), ("c", [])])
    groups = rows_by_image(lines)
    for _ in range(2):
        assert [row["id"] for rows in groups() for row in rows] == ["a", "b"]
    assert recorded_ids(lines) == ["b", "a", "c"]


def test_of_two_lines_of_an_image_the_last_counts(lines):
    record_results(lines, [result("a", 1)])
    record_results(lines, [result("a", 2)])
    assert list(rows_by_image(lines)()) == [[{"id": "a", "value": 2}]]


@pytest.mark.parametrize("damage", [b'["b", [{"id"', b"\0\0\0", b"\xff\xfe", b"[1, 2]\n", b"null"])
def test_damaged_lines_are_left_out_and_removed(lines, damage):
    record_results(lines, [result("å"), result("c")])
    first, second = lines.read_bytes().splitlines(keepends=True)
    lines.write_bytes(first + damage.rstrip(b"\n") + b"\n" + second + damage)
    assert recorded_ids(lines) == ["å", "c"]
    record_results(lines, [result("d")])
    assert lines.read_bytes().splitlines(keepends=True)[:2] == [first, second]
    assert [row["id"] for rows in rows_by_image(lines)() for row in rows] == ["c", "d", "å"]
