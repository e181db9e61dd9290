"""Verdicts on rounds from hand-made signals: rounds end, and labels get worse."""

import numpy as np
import pandas as pd
import pytest
from helpers.running import working

from wsseg.data.model import Classes
from wsseg.runs.config import Config
from wsseg.runs.run import Run
from wsseg.stages.stopping import end_rounds, verdicts

CLASSES = Classes(("background", "cow", "sheep"))
COUNT = 60


@pytest.fixture(autouse=True)
def five_rounds(monkeypatch):
    """At most five rounds with "auto"."""
    monkeypatch.setattr("wsseg.stages.params._MAX_ROUNDS", 5)


def signals(area=0.2):
    """Signals of a cow and a sheep in each of 60 images."""
    rows = [(f"{n:02d}", label) for n in range(COUNT) for label in (1, 2)]
    return pd.DataFrame(rows, columns=["id", "class"]).assign(churn=0.1, area=area)


def agreement(mean, spread=0.05, seed=0):
    """Agreement of these objects with their annotations, with noise around a mean."""
    noise = np.random.default_rng(seed).standard_normal(2 * COUNT)
    return signals()[["id", "class"]].assign(agreement=mean + spread * noise)


def inspected(run, name, found, stats=None):
    """A stage with its signals, and with its statistics of agreement."""
    stage = run.stage(name)
    with working(stage):
        if stats is not None:
            stats.to_parquet(stage.path / "stats.parquet")
    with working(run.stage(f"{name}/signals", labels=stage)):
        found.to_parquet(stage.path / "signals" / "stats.parquet")
    return stage


def run_of(path, count=3):
    raw = {"run_dir": path, "data": {"root": path}, "rounds": {"count": count}}
    return Run(path, Config.model_validate(raw))


def judged(path, *rounds, last=None):
    """The verdict on the last of rounds that agree with annotations so well."""
    run, names = run_of(path), ["seeds"]
    inspected(run, "seeds", signals())
    for number, stats in enumerate(rounds, 1):
        names.append(f"round-{number}")
        is_last = number == len(rounds) and last is not None
        inspected(run, names[-1], last if is_last else signals(), stats)
    return verdicts(path, names, CLASSES)[-1]


def test_the_first_round_is_never_enough(tmp_path):
    found = judged(tmp_path, agreement(0.4))
    assert (found.enough, found.worse, found.gain) == (False, False, None)


def test_rounds_go_on_while_agreement_rises(tmp_path):
    found = judged(tmp_path, agreement(0.6), agreement(0.65, seed=1))
    assert not found.enough and "better" in found.reason
    assert found.gain is not None and found.gain.value == pytest.approx(0.05, abs=0.02)
    assert found.agreement == pytest.approx(0.65, abs=0.02)
    assert found.images == "training"


@pytest.mark.parametrize("rise", [0.0, 0.003], ids=["none", "too small to matter"])
def test_rounds_end_when_agreement_no_longer_rises(tmp_path, rise):
    found = judged(tmp_path, agreement(0.6), agreement(0.6 + rise))
    assert found.enough and not found.worse and "no better" in found.reason


def test_a_rise_by_chance_is_no_rise(tmp_path):
    found = judged(tmp_path, agreement(0.6, 0.3), agreement(0.6, 0.3, seed=1))
    assert found.gain is not None and found.gain.is_noise and found.enough


def test_falling_agreement_raises_the_alarm(tmp_path):
    found = judged(tmp_path, agreement(0.6), agreement(0.5, seed=1))
    assert found.enough and found.worse and "agrees less" in found.reason


def test_validation_images_count_before_training_images(tmp_path):
    run = run_of(tmp_path)
    inspected(run, "seeds", signals())
    for number, (train, val) in enumerate([(0.6, 0.6), (0.7, 0.5)], 1):
        inspected(run, f"round-{number}", signals(), agreement(train))
        with working(run.stage(f"round-{number}/val")):
            agreement(val).to_parquet(tmp_path / f"round-{number}/val/stats.parquet")
    found = verdicts(tmp_path, ["seeds", "round-1", "round-2"], CLASSES)[-1]
    assert found.worse and found.agreement == pytest.approx(0.5, abs=0.02)
    assert found.images == "validation"


def test_vanished_classes_raise_the_alarm_after_the_first_round(tmp_path):
    table = signals()
    table.loc[:11, "area"] = 0.0
    found = judged(tmp_path, agreement(0.6), last=table)
    assert found.vanished == 0.1 and found.worse and found.enough
    assert "10.0 % of the classes in images have vanished" in found.reason


def cleaned(mean, resets=0.0, missed=0.0):
    """Agreement around a mean, and shares of the boxes and classes that cleaning replaced."""
    table = agreement(mean).assign(boxes=1, resets=0, missed=np.nan)
    table.loc[: round(2 * COUNT * resets) - 1, "resets"] = 1
    table.loc[: round(2 * COUNT * missed) - 1, "missed"] = 1
    return table


@pytest.mark.parametrize(
    ("table", "little"),
    [
        (cleaned(0.14, resets=0.8), True),
        (cleaned(0.15, missed=406 / 480), True),
        (cleaned(0.45, resets=0.8), True),
        (cleaned(0.45, missed=0.7), True),
        (cleaned(0.25), True),
        (cleaned(0.45, resets=0.5, missed=0.3), False),
        (cleaned(0.75, resets=0.5), False),
        (cleaned(0.6, resets=1.0, missed=1.0), False),
    ],
)
def test_a_network_that_has_learned_little_needs_steps_and_no_rounds(tmp_path, table, little):
    found = judged(tmp_path, table)
    assert (found.learned_little, found.enough, found.worse) == (little, little, False)
    assert (found.word == "the network has learned little") == little
    assert found.reason.startswith("more steps, not more rounds (") == little


def test_what_cleaning_restores_counts_as_vanished_but_not_as_worse(tmp_path):
    found = judged(tmp_path, cleaned(0.15, resets=0.8, missed=406 / 480))
    assert found.vanished == pytest.approx(406 / 480, abs=0.005) and found.emptied == 0
    assert found.reason.endswith(
        "agree to 15 % with the annotations, 80 % of the boxes were reset, 85 % of the classes in"
        " images were not predicted)"
    )


def test_little_learning_ends_rounds_with_a_warning(tmp_path, capsys):
    run = run_of(tmp_path, "auto")
    history = [inspected(run, "seeds", signals())]
    history.append(inspected(run, "round-1", signals(), cleaned(0.1, resets=1.0)))
    assert end_rounds(run, history, CLASSES)
    told = capsys.readouterr().err
    assert "WARNING: the network has learned little: more steps, not more rounds" in told


def test_a_class_that_is_lost_is_named(tmp_path):
    table = signals()
    table.loc[table["class"] == 2, "area"] = 0.01
    found = judged(tmp_path, agreement(0.6), last=table)
    assert found.lost == ("sheep",) and found.worse and "sheep" in found.reason


def test_classes_that_are_gone_count_as_vanished(tmp_path):
    found = judged(tmp_path, agreement(0.6), last=signals().drop([1, 3, 5, 7, 9, 11]))
    assert found.vanished == 0.05


def test_images_that_were_skipped_have_not_vanished(tmp_path):
    found = judged(tmp_path, agreement(0.6), last=signals().iloc[114:])
    assert found.vanished == 0 and not found.lost and not found.worse


def test_a_few_images_say_nothing(tmp_path):
    rounds = [agreement(mean).iloc[:14] for mean in (0.6, 0.2)]
    found = judged(tmp_path, *rounds)
    assert found.gain is None and not found.worse and "too few images" in found.reason


def test_annotations_that_say_nothing_end_no_rounds(tmp_path):
    nothing = signals()[["id", "class"]]
    found = judged(tmp_path, nothing, nothing)
    assert found.gain is None and np.isnan(found.agreement) and not found.enough


def test_rounds_whose_agreement_is_not_known_are_not_the_result(tmp_path):
    run, unknown = run_of(tmp_path, "auto"), agreement(np.nan)
    history = [inspected(run, "seeds", signals())]
    for number, stats in enumerate((unknown, agreement(0.6), agreement(0.6)), 1):
        history.append(inspected(run, f"round-{number}", signals(), stats))
    assert end_rounds(run, history, CLASSES)
    assert run.preferred_stages()[3] == "round-2"


def test_rounds_that_go_on_after_all_forget_where_they_ended(tmp_path):
    run = run_of(tmp_path, "auto")
    history = [inspected(run, "seeds", signals())]
    for number, mean in enumerate((0.6, 0.6), 1):
        history.append(inspected(run, f"round-{number}", signals(), agreement(mean)))
    assert end_rounds(run, history, CLASSES)
    history[2] = inspected(run, "round-2", signals(), agreement(0.7))
    assert not end_rounds(run, history, CLASSES)
    assert "round-5" in run.label_stages()


def test_the_last_round_that_is_allowed_is_an_end(tmp_path):
    run = run_of(tmp_path, "auto")
    history = [inspected(run, "seeds", signals())]
    for number in range(1, 6):
        table = agreement(0.5 + number / 20)
        history.append(inspected(run, f"round-{number}", signals(), table))
        assert end_rounds(run, history, CLASSES) == (number == 5)
    assert run.preferred_stages()[3] == "round-5"


def test_rounds_end_and_the_run_knows_where(tmp_path, capsys):
    run = run_of(tmp_path, "auto")
    assert [*run.config.rounds.numbers] == [1, 2, 3, 4, 5]
    history = [inspected(run, "seeds", signals())]
    history.append(inspected(run, "round-1", signals(), agreement(0.6)))
    assert not end_rounds(run, history, CLASSES)
    assert run.label_stages()[5] == "round-5"
    history.append(inspected(run, "round-2", signals(), agreement(0.6)))
    assert end_rounds(run, history, CLASSES)
    assert "round-2: rounds end: the network agrees no better" in capsys.readouterr().err
    assert run.label_stages()[:4] == ["seeds", "round-1", "round-2", "masks-only"]
    assert run.preferred_stages()[3:] == ["round-1", "round-2", "seeds"]


def test_the_round_that_agrees_best_is_the_result(tmp_path, capsys):
    run = run_of(tmp_path, "auto")
    history = [inspected(run, "seeds", signals())]
    for number, mean in enumerate((0.6, 0.7, 0.5), 1):
        history.append(inspected(run, f"round-{number}", signals(), agreement(mean, seed=number)))
    assert end_rounds(run, history, CLASSES)
    assert "round-2 is the result" in capsys.readouterr().err
    expected = ["round-2", "round-3", "round-1", "seeds"]
    assert run.preferred_stages()[3:] == expected


def test_a_fixed_count_is_kept_but_the_alarm_is_raised(tmp_path, capsys):
    run = run_of(tmp_path, 2)
    history = [inspected(run, "seeds", signals())]
    history.append(inspected(run, "round-1", signals(0.001), agreement(0.6)))
    assert not end_rounds(run, history, CLASSES)
    output = capsys.readouterr().err
    assert "WARNING: labels get worse: almost nothing is left of cow, sheep" in output
    assert run.preferred_stages()[3] == "round-2"


def test_stages_that_nobody_inspected_end_nothing(tmp_path):
    run = run_of(tmp_path, "auto")
    seeds, bare = inspected(run, "seeds", signals()), run.stage("round-1")
    with working(bare):
        pass
    assert not end_rounds(run, [seeds, bare], CLASSES)
