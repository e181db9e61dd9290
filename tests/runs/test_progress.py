from wsseg.runs import progress
from wsseg.runs.progress import track


def test_without_a_terminal_lines_tell_what_is_left(monkeypatch, capfd):
    ticks = iter([0, 50, 100, 150, 200])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))
    assert list(track("abcd", "seeds", total=6, done=2)) == [*"abcd"]
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "seeds: 4 of 6, about 0:01:40 left",
        "seeds: 6 of 6, about 0:00:00 left",
        "seeds: 6 done",
    ]
