import json

import pytest

from wsseg.errors import InputError
from wsseg.stages.selection.folder import opened, write_lists

MINE = {"made_by": "wsseg select", "budget": 3}


def open_in(out, settings=MINE, cache=None):
    return opened(out, cache or out / "cache", settings)


def test_a_folder_is_used_again_and_results_of_other_settings_go(tmp_path):
    out = tmp_path / "out"
    for settings, stays in ((MINE, None), (MINE, True), ({**MINE, "budget": 4}, False)):
        with open_in(out, settings):
            assert stays is None or (out / "selected.txt").exists() == stays
            assert json.loads((out / "selection.json").read_text()) == settings
        (out / "selected.txt").write_text("a\n")
        (out / "cache" / "kept").write_text("")
    assert (out / "cache" / "kept").exists()


def test_folders_of_others_are_refused_and_left_alone(tmp_path):
    foreign = tmp_path / "photos"
    (foreign / "embeddings").mkdir(parents=True)
    (foreign / "embeddings" / "mine.txt").write_text("x")
    (tmp_path / "file").write_text("")
    for out, cache in ((foreign, None), (tmp_path / "new", foreign), (tmp_path / "file", None)):
        with pytest.raises(InputError, match="choose another"), open_in(out, cache=cache):
            pass
    assert (foreign / "embeddings" / "mine.txt").exists()
    assert [path.name for path in foreign.iterdir()] == ["embeddings"]


def test_a_second_process_is_kept_out(tmp_path):
    with (
        open_in(tmp_path),
        pytest.raises(InputError, match="in use by another process"),
        open_in(tmp_path),
    ):
        pass


def test_lists(tmp_path):
    rows = [
        {"rank": 1, "id": 'a,"b"', "path": "p", "classes": "cow;cat", "distance": float("inf")},
        {"rank": 2, "id": "b", "path": "q", "classes": "", "distance": 0.25},
    ]
    write_lists(tmp_path, rows)
    assert (tmp_path / "selected.txt").read_text() == 'a,"b"\nb\n'
    assert (tmp_path / "selected.csv").read_text().splitlines() == [
        "rank,id,path,classes,distance",
        '1,"a,""b""",p,cow;cat,',
        "2,b,q,,0.250000",
    ]
