import numpy as np
import pytest

from wsseg.stages.selection.rows import Rows


def unit(width, number):
    return np.eye(width, dtype=np.float32)[number]


def test_rows_come_back_and_numpy_reads_the_file(tmp_path):
    rows = Rows(tmp_path / "rows.npy")
    rows.create(5, 3)
    rows.write(4, unit(3, 1))
    rows.write(0, unit(3, 2))
    assert rows.shape() == (5, 3)
    np.testing.assert_array_equal(rows.read([4, 0]), [unit(3, 1), unit(3, 2)])
    np.testing.assert_array_equal(np.load(rows.path)[4], unit(3, 1))
    assert rows.written(chunk=2).tolist() == [True, False, False, False, True]


def test_a_row_that_was_cut_short_does_not_count(tmp_path):
    rows = Rows(tmp_path / "rows.npy")
    rows.create(2, 4)
    rows.write(0, np.full(4, 0.5, np.float32))
    rows.write(1, np.array([0.5, 0.5, 0, 0], np.float32))
    assert rows.written().tolist() == [True, False]


def test_creating_again_keeps_rows_of_the_same_shape_only(tmp_path):
    rows = Rows(tmp_path / "rows.npy")
    rows.create(2, 3)
    rows.write(0, unit(3, 0))
    rows.create(2, 3)
    assert rows.written().tolist() == [True, False]
    rows.create(3, 3)
    assert rows.written().tolist() == [False] * 3


@pytest.mark.parametrize("content", [None, b"", b"rubbish", b"\x93NUMPY\x01\x00"])
def test_a_missing_or_damaged_file_has_no_shape(tmp_path, content):
    rows = Rows(tmp_path / "rows.npy")
    if content is not None:
        rows.path.write_bytes(content)
    assert rows.shape() is None and rows.written().size == 0
