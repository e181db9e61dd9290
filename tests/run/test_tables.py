import pandas as pd
import pytest
from wsseg.run.tables import read_columns, read_table

from wsseg.errors import InputError


def test_tables_are_read_as_they_were_written(tmp_path):
    table = pd.DataFrame({"id": ["a", "b"], "counts": [[1, 2], [3]]})
    table.to_parquet(tmp_path / "stats.parquet", index=False)
    assert read_table(tmp_path)["id"].tolist() == ["a", "b"]
    assert read_columns(tmp_path).to_pylist()[1] == {"id": "b", "counts": [3]}


@pytest.mark.parametrize("read", [read_table, read_columns])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"nothing", None])
def test_what_is_no_table_is_told(tmp_path, read, content):
    if content is not None:
        (tmp_path / "stats.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"stats\.parquet must be a readable table, got") as caught:
        read(tmp_path)
    assert ("no such file" in str(caught.value)) == (content is None)
