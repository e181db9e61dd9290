import importlib
import math
import os

import pytest
import torch

from wsseg.data.model import Classes
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.networks import train
from wsseg.runs import loggers as module
from wsseg.runs.config import Config, config_from_values
from wsseg.runs.loggers import check_loggers, log_figures
from wsseg.runs.run import Run
from wsseg.stages.training import train_on_pairs, training_stage

NAME = "round-2/model"
CLASSES = Classes(("background", "thing"))
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")  # MLflow
RATES = ("lr-AdamW/encoder", "lr-AdamW/decoder")


class KilledError(RuntimeError):
    pass


@pytest.fixture(autouse=True)
def every_step(monkeypatch):
    monkeypatch.setattr(train, "_LOG_EVERY", 1)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def tensorboard():
    return pytest.importorskip("tensorboard")


@pytest.fixture
def config(
    model_settings,
    trainer_settings,
    tmp_path,
    tensorboard,  # noqa: ARG001 - skips where there is none
):
    data = DataParams(root=tmp_path)
    machine = {"device": "cpu", "checkpoint_every": 2}
    settings = {"model": model_settings, "trainer": trainer_settings, "machine": machine}
    return Config(run_dir=tmp_path / "run", data=data, loggers=("tensorboard",), **settings)


def logged_by(config, *names):
    return config.model_copy(update={"loggers": names})


def trained(config, pairs, killed_at=None):
    """The stage of a training, which may be killed before a step, counted from 0."""
    stage = training_stage(Run(config.run_dir, config), NAME, CLASSES, pairs=pairs)

    def killed(_, trainer, *__):
        if trainer.global_step == killed_at:
            raise KilledError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(train.LossCurve, "on_train_batch_start", killed, raising=False)
        if killed_at is None:
            return train_on_pairs(stage, lambda: pairs, CLASSES, config)
        with pytest.raises(KilledError):
            train_on_pairs(stage, lambda: pairs, CLASSES, config)
    return stage


def weights(stage):
    content = torch.load(stage.path / "model.ckpt", weights_only=True)
    return dict(content["state_dict"])


def curves(folder):
    """Steps and values of all that TensorBoard shows of a folder."""
    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in tags}


def test_tensorboard_has_loss_and_learning_rates(config, pairs):
    stage = trained(config, pairs)
    found = curves(config.run_dir / NAME)
    assert set(found) == {"loss", *RATES, "epoch"}
    assert all([step for step, _ in curve] == [*range(6)] for curve in found.values())
    losses = [value for _, value in found["loss"]]
    assert stage.results["loss"] == [pytest.approx(sum(losses) / 6, abs=1e-4)]
    for name, peak in zip(
        RATES, (config.trainer.encoder_lr, config.trainer.decoder_lr), strict=True
    ):
        rates = torch.tensor([value for _, value in found[name]])
        scheduled = one_cycle(peak, config.trainer.steps)
        torch.testing.assert_close(rates, scheduled)


def one_cycle(peak, steps):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], peak)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=steps + 1, pct_start=0.05
    )
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return torch.tensor(found)


@pytest.mark.parametrize("killed_at", [1, 5])
def test_resumed_curve_is_the_unbroken_one(config, pairs, tmp_path, killed_at):
    trained(config.model_copy(update={"run_dir": tmp_path / "unbroken"}), pairs)
    trained(config, pairs, killed_at)
    assert 0 < len(curves(config.run_dir / NAME)["loss"]) < 6
    trained(config, pairs)
    assert curves(config.run_dir / NAME) == curves(tmp_path / "unbroken" / NAME)


def test_logging_changes_neither_key_nor_weights(config, pairs, tmp_path):
    silent = logged_by(config).model_copy(update={"run_dir": tmp_path / "silent"})
    with_it, without = trained(config, pairs), trained(silent, pairs)
    assert with_it.key == without.key
    assert not (without.path / "tensorboard").exists()
    torch.testing.assert_close(weights(with_it), weights(without), rtol=0, atol=0)
    assert with_it.results["loss"] == without.results["loss"]


def test_logging_switched_on_while_training_goes_on_from_there(config, pairs):
    trained(logged_by(config), pairs, killed_at=5)
    trained(config, pairs)
    assert [step for step, _ in curves(config.run_dir / NAME)["loss"]] == [4, 5]


def test_another_key_starts_another_curve(config, pairs):
    trained(config, pairs)
    shorter = config.trainer.model_copy(update={"steps": 3})
    trained(config.model_copy(update={"trainer": shorter}), pairs)
    assert [step for step, _ in curves(config.run_dir / NAME)["loss"]] == [0, 1, 2]


@pytest.fixture
def mlflow():
    return pytest.importorskip("mlflow")


def mlflow_curves(mlflow, run_dir, name):
    """MLflow's runs of a folder, the newest first, each with one of its curves."""
    client = mlflow.MlflowClient(f"sqlite:///{run_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(run_dir.name)
    runs = [run.info for run in client.search_runs([experiment.experiment_id])]
    history = [client.get_metric_history(info.run_id, name) for info in runs]
    points = [sorted((each.step, each.value) for each in curve) for curve in history]
    return list(zip(runs, points, strict=True))


def test_mlflow_goes_on_with_its_run(config, pairs, mlflow):
    config = logged_by(config, "tensorboard", "mlflow")
    trained(config, pairs, killed_at=1)  # before the first checkpoint
    trained(config, pairs, killed_at=5)
    ((broken, _),) = mlflow_curves(mlflow, config.run_dir, "loss")
    assert (broken.run_name, broken.status) == (NAME, "FAILED")
    trained(config, pairs)
    for name, expected in curves(config.run_dir / NAME).items():
        ((info, found),) = mlflow_curves(mlflow, config.run_dir, name)
        assert (info.run_id, info.status) == (broken.run_id, "FINISHED")
        assert [step for step, _ in found] == [0, 1, 2, 3, 4, 4, 5]
        assert sorted(set(found)) == [(step, pytest.approx(value)) for step, value in expected]


def test_each_run_has_an_mlflow_store_of_its_own_and_each_key_an_mlflow_run(
    config, pairs, tmp_path, mlflow
):
    config = logged_by(config, "mlflow")
    trained(config, pairs)
    shorter = config.trainer.model_copy(update={"steps": 3})
    config = config.model_copy(update={"trainer": shorter})
    trained(config, pairs)
    trained(config.model_copy(update={"run_dir": tmp_path / "other"}), pairs)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    lengths = [
        len(curve)
        for folder in (config.run_dir, tmp_path / "other")
        for _, curve in mlflow_curves(mlflow, folder, "loss")
    ]
    assert lengths == [3, 6, 3]


def test_mlflow_at_an_address(tmp_path, monkeypatch, mlflow):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for miou in (0.5, 0.6):
        log_figures(tmp_path / "runs" / "mine", ["mlflow"], {"seeds": {"label_miou": miou}})
    assert [path.name for path in (tmp_path / "runs" / "mine").iterdir()] == ["report"]
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("mine")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.data.metrics) == ("report", {"label_miou": 0.6})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://user:secret@host")
    message = "MLFLOW_TRACKING_URI must be the address of an MLflow store, got host; correct it"
    with pytest.raises(InputError, match=message):
        log_figures(tmp_path / "runs" / "mine", ["mlflow"], {})


@pytest.mark.usefixtures("tensorboard")
def test_figures_of_a_report_replace_those_before(tmp_path):
    for miou in (0.5, 0.6):
        figures = {"seeds": {"label_miou": miou, "val_miou": None}, "round-1": {"label_miou": 0.7}}
        figures["round-1"]["signal"] = math.nan
        log_figures(tmp_path, ["tensorboard"], figures)
        found = curves(tmp_path / "report")
        assert found == {"label_miou": [(0, pytest.approx(miou)), (1, pytest.approx(0.7))]}


@pytest.mark.parametrize(
    ("name", "package"),
    [("tensorboard", "tensorboard"), ("mlflow", "mlflow"), ("mlflow", "alembic")],
)
def test_a_missing_package_is_reported_before_any_work(
    config,
    pairs,
    monkeypatch,
    name,
    package,
):
    monkeypatch.setattr(module, "find_spec", lambda each: None if each == package else object())
    got = f"loggers must be of installed packages, got {name} without {package}"
    message = rf"^{got}; install wsseg\[{name}\]$"
    with pytest.raises(InputError, match=message):
        check_loggers(["tensorboard", "mlflow"] if name == "mlflow" else ["tensorboard"])
    with pytest.raises(InputError, match=message):
        trained(logged_by(config, name), pairs)
    assert not (config.run_dir / NAME / "checkpoint").exists()


def test_names_in_a_configuration(tmp_path):
    values = {"run_dir": "run", "data": {"root": str(tmp_path)}}
    assert config_from_values(values, "x").loggers == ()
    one = config_from_values({**values, "loggers": "mlflow"}, "x")
    assert one.loggers == ("mlflow",)
    both = config_from_values({**values, "loggers": ["tensorboard", "mlflow"]}, "x")
    assert both.loggers == ("tensorboard", "mlflow")
    with pytest.raises(InputError, match=r"loggers\.0 in x must be 'tensorboard' or 'mlflow'"):
        config_from_values({**values, "loggers": ["wandb"]}, "x")
