"""The stage of the learned affinity."""

from functools import partial

import lightning
from torch import Tensor, nn

from wsseg.data.model import Dataset
from wsseg.networks.affinity_net import AffinityNet, affinity_loss
from wsseg.networks.checkpoints import save_network
from wsseg.networks.classifier import load_classifier
from wsseg.networks.encoder import TimmEncoder
from wsseg.networks.params import TrainingParams
from wsseg.networks.train import TrainingModule
from wsseg.networks.training_data import Target, TrainingBatches, TrainingPair
from wsseg.refine.params import WalkParams
from wsseg.runs.config import Config
from wsseg.runs.labelling import label_path, usable_samples
from wsseg.runs.names import AFFINITY, CONFIDENT
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.tags.maps import label_by_maps
from wsseg.stages.training import fit_in_stage

# The network learns from pixels where a class exceeds the first constant, and from background where
# no class exceeds the second one, both after a CRF.
_FOREGROUND, _BACKGROUND = 0.30, 0.05
_BATCH_SIZE = 4
_MAX_STEPS = 250  # those of the results in docs/results.md


def learn_affinity(
    run: Run, dataset: Dataset, maps: Stage | None, classifier: Stage | None
) -> Stage | None:
    """Return the complete stage "affinity": a network trained on confident labels.

    The labels are those of the stage "confident": confident foreground and background of the maps
    after a CRF, IGNORE elsewhere.

    Args:
        maps: The stage of ``locate_tags``.
        classifier: The stage of ``train_classifier``, whose encoder is used and not trained.

    Returns:
        A stage with ``model.ckpt``; None if ``cam.affinity`` is not "learned".

    Raises:
        InputError: The encoder has no levels.
        DivergenceError: The loss is NaN or infinite.
    """
    config = run.config
    if config.cam.affinity != "learned" or classifier is None:
        return None
    levels = {"foreground": _FOREGROUND, "background": _BACKGROUND}
    changes = {"threshold": "constant", "refiner": "crf", **levels}
    cam = config.cam.model_copy(update=changes)
    confident = label_by_maps(run, dataset, maps, CONFIDENT, cam)
    if confident is None:
        return None
    stage = run.stage(
        AFFINITY,
        labels=confident,
        classifier=classifier,
        radius=WalkParams().radius,
        trainer=affinity_training(config),
        machine=config.machine.numerics,
        seed=config.seed,
    )
    samples = usable_samples(confident, dataset.split(config.data.train))
    pairs = [
        TrainingPair(sample.image, label_path(confident, sample), reading=sample.reading)
        for sample in samples
    ]
    return stage.run(lambda: {"loss": _train(stage, pairs, classifier, config)})


def affinity_training(config: Config) -> TrainingParams:
    """Return how the network of ``cam.affinity: learned`` is trained."""
    classifier = config.classifier.trainer
    # A short trial of the classifier is to be a short trial of what is learned from it, too.
    steps = min(_MAX_STEPS, classifier.steps)
    return TrainingParams(steps=steps, crop=classifier.crop, batch_size=_BATCH_SIZE)


def _train(
    stage: Stage, pairs: list[TrainingPair], classifier: Stage, config: Config
) -> list[float]:
    trainer = affinity_training(config)
    trained = load_classifier(classifier.path / "model.ckpt", "cpu")
    if not isinstance(trained.network.encoder, TimmEncoder):
        raise TypeError("a saved classifier has an encoder of timm")
    lightning.seed_everything(config.seed, verbose=False)
    network = AffinityNet(trained.network.encoder)
    objective = partial(_objective, radius=WalkParams().radius)
    training = TrainingModule(network, trainer, objective, seed=config.seed, freeze_batch_norm=True)
    batches = TrainingBatches(pairs, trained.params, trainer, seed=config.seed)
    curve = fit_in_stage(stage, training, batches, config)
    path = stage.path / "model.ckpt"
    save_network(path, "affinity network", network, trained.params, trained.classes)
    return curve


def _objective(
    network: nn.Module,
    images: Tensor,
    target: Target,
    _: float,
    *,
    radius: int,
) -> Tensor:
    return affinity_loss(network(images), target.labels, radius=radius)
