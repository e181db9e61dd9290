import os
import signal
from pathlib import Path

import pytest

from wsseg.data.model import Problem, Sample
from wsseg.errors import DamagedError, InputError
from wsseg.parallel import Batches, Skipped, map_in_threads, map_locally
from wsseg.runs.engine import report_problems


def samples(count):
    return [Sample(str(i), Path(f"{i}.jpg"), (1, 1), (), "train") for i in range(count)]


def number(sample):
    if sample.id == "2":
        raise InputError("2.jpg", "a readable image", "rubbish", "remove it")
    return int(sample.id)


def damaged(_):
    raise DamagedError("runs/x/seeds/labels/2.png", "a label map", "rubbish", "delete its stage")


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_image_does_not_stop_the_others(workers):
    results = list(map_locally(number, samples(4), workers, strict=False))
    bad = [result for result in results if isinstance(result, Skipped)]
    assert sorted(result for result in results if isinstance(result, int)) == [0, 1, 3]
    assert bad == [Skipped("2", "2.jpg must be a readable image, got rubbish; remove it")]


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_raises_it_with_its_parts(workers):
    with pytest.raises(InputError) as caught:
        list(map_locally(number, samples(4), workers, strict=True))
    assert (caught.value.subject, caught.value.remedy) == ("2.jpg", "remove it")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_file_of_the_run_stops_it(workers):
    with pytest.raises(DamagedError, match="delete its stage"):
        list(map_locally(damaged, samples(4), workers, strict=False))


def test_no_samples():
    assert list(map_locally(number, [], None, strict=False)) == []


def test_problems_are_reported_and_fatal_ones_refused_when_strict(
    capsys,
):
    small = [Problem(f"{i}.jpg", "a box was clipped") for i in range(9)]
    problems = [*small, Problem("x.jpg", "is missing", fatal=True)]
    report_problems(problems, strict=False)
    output = capsys.readouterr().err
    assert "skipped: x.jpg: is missing" in output and "and 5 more" in output
    report_problems(small, strict=True)
    with pytest.raises(InputError, match=r"x\.jpg: is missing \(1 such problems\)"):
        report_problems(problems, strict=True)


def test_a_killed_worker_is_explained():
    with pytest.raises(InputError, match="a worker that was killed; set a lower one"):
        list(map_locally(die, samples(4), 2, strict=False))


def test_threads_get_prepared_batches_and_skip_a_bad_image():
    prepared = []
    batches = Batches(lambda group: prepared.append([sample.id for sample in group]), 3)
    results = list(map_in_threads(number, samples(5), batches, 2, strict=False))
    assert prepared == [["0", "1", "2"], ["3", "4"]]
    assert [r if isinstance(r, int) else r.id for r in results] == [0, 1, "2", 3, 4]


def test_an_image_is_prepared_before_its_thread_starts():
    ready = set()
    batches = Batches(lambda group: ready.update(sample.id for sample in group), 2)
    results = map_in_threads(lambda sample: sample.id in ready, samples(6), batches, 3, strict=True)
    assert all(results)


def test_threads_raise_the_first_error_of_a_strict_run():
    with pytest.raises(InputError, match="rubbish"):
        list(map_in_threads(number, samples(4), Batches(len, 4), 2, strict=True))
