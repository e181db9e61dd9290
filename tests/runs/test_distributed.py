"""A training by two workers of Ray Train on this machine, against one process."""

import pytest
import torch

from wsseg.data.model import Classes
from wsseg.data.params import DataParams
from wsseg.networks.checkpoints import read_checkpoint
from wsseg.networks.params import MachineParams, RayParams
from wsseg.runs.config import Config
from wsseg.runs.run import Run
from wsseg.stages.training import train_on_pairs, training_stage

ray = pytest.importorskip("ray", reason="needs wsseg[ray]")
pytest.importorskip("ray.train.lightning", reason="needs wsseg[ray]")

CLASSES = Classes(("background", "cow"))


@pytest.fixture
def train(pairs, model_settings, trainer_settings, tmp_path):
    # Batch norm sees half a batch in each worker, so the two can only agree without it.
    plain = {"decoder_channels": [32, 16, 16, 8, 8], "decoder_use_norm": False}
    model = model_settings.model_copy(update={"decoder_kwargs": plain, "freeze_batch_norm": True})
    trainer = trainer_settings.model_copy(update={"zoom": (1.0, 1.0)})

    def run(name, machine):
        config = Config(
            run_dir=tmp_path / name,
            data=DataParams(root=tmp_path),
            model=model,
            trainer=trainer,
            machine=machine,
        )
        stage = training_stage(Run(config.run_dir, config), "round-1/model", CLASSES)
        return train_on_pairs(stage, lambda: pairs, CLASSES, config)

    yield run
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_two_workers_of_ray_train_agree_with_one_process(train):
    alone = train("alone", MachineParams(device="cpu", loader_workers=0))
    cluster = MachineParams(device="cpu", loader_workers=0, engine="ray", ray=RayParams(nodes=2))
    together = train("together", cluster)
    one, two = (read_checkpoint(s.path / "model.ckpt")["state_dict"] for s in (alone, together))
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)
    assert len(together.results["loss"]) == len(alone.results["loss"])
    assert {path.name for path in together.path.iterdir()} == {p.name for p in alone.path.iterdir()}
