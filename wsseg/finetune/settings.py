"""Settings of the last stage that contradict each other, found before any work is done."""

from wsseg.errors import InputError
from wsseg.refine import find_refiner
from wsseg.run.settings import Config
from wsseg.segmenter.losses import check_losses
from wsseg.segmenter.model import check_network


def check_finetune_settings(config: Config) -> None:
    """Refuse settings that no stage could work with.

    Args:
        config: The resolved settings.

    Raises:
        InputError: An unknown loss or refiner, a network that cannot be built, a base that is
            this run, calibration by masks that the network has learned, or a semi-supervised
            training that learns from nothing but masks.
    """
    check_losses(config.trainer.loss)
    find_refiner(config, config.rounds.refiner)
    check_network(config.model)
    settings, semi = config.finetune, config.finetune.semi
    if settings.base == config.run_dir.absolute():
        remedy = "give this run a run_dir of its own"
        raise InputError("finetune.base", "another run", settings.base, remedy)
    if settings.base is None and settings.filter.rule == "calibrated":
        rule, got = "another without finetune.base", "calibrated"
        remedy = "set it to global: the network has learned the masks that it would be tried on"
        raise InputError("finetune.filter.rule", rule, got, remedy)
    steps = settings.steps or config.trainer.steps
    if settings.method == "semi" and semi.burn_in >= steps:
        rule, remedy = f"below the {steps} steps of the training", "lower it or set finetune.steps"
        raise InputError("finetune.semi.burn_in", rule, semi.burn_in, remedy)
    if settings.method == "semi" and not (semi.views.strong or semi.views.features):
        rule, remedy = "at least 1 without views.features", "set it to 1"
        raise InputError("finetune.semi.views.strong", rule, 0, remedy)
    if settings.method == "semi" and semi.shrink and not semi.views.strong:
        rule, remedy = "at least 1 with shrink", "set it to 1"
        raise InputError("finetune.semi.views.strong", rule, 0, remedy)
