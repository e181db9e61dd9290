import pytest
import yaml

from wsseg.errors import InputError
from wsseg.runs.config import Config
from wsseg.runs.history import known_stages, last_model
from wsseg.runs.stage import Run


def config(tmp_path, rounds):
    return Config.model_validate(
        {"run_dir": tmp_path, "data": {"root": tmp_path}, "rounds": {"count": rounds}}
    )


def finish(run, name):
    with run.stage(name).work():
        pass


def test_stages_come_in_the_order_they_are_made_in(tmp_path):
    expected = ["seeds", "round-1", "round-2", "masks-only", "filtered", "finetuned"]
    assert known_stages(tmp_path, config(tmp_path, 2)) == expected
    assert known_stages(tmp_path, config(tmp_path, 0))[:2] == ["seeds", "round-1"]


def test_last_model_is_that_of_the_last_stage(tmp_path):
    run = Run(tmp_path, config(tmp_path, 2))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(run.config.model_dump(mode="json")))
    with pytest.raises(InputError, match="a trained network"):
        last_model(tmp_path)
    for name in ("round-1/model", "round-2/model", "masks-only/model", "finetuned/model"):
        finish(run, name)
        assert last_model(tmp_path) == name
