"""Settings of the last stage that contradict each other, found before any work is done."""

from wsseg.errors import InputError
from wsseg.networks.semi.params import SemiParams
from wsseg.runs.config import Config


def check_finetune_settings(config: Config) -> None:
    """Refuse settings that no stage could work with.

    Args:
        config: The resolved settings.

    Raises:
        InputError: The base is this run, the calibration uses masks that the network has learned,
            a semi-supervised training learns from masks only, or a folder is missing.
    """
    settings = config.finetune
    if settings.base == config.run_dir.absolute():
        remedy = "give this run a run_dir of its own"
        raise InputError("finetune.base", "another run", settings.base, remedy)
    if settings.base is None and settings.filter.rule == "calibrated":
        rule, got = "another without finetune.base", "calibrated"
        remedy = "set it to global: the network has learned the masks that it would be tried on"
        raise InputError("finetune.filter.rule", rule, got, remedy)
    if settings.method == "semi":
        _check_semi(settings.semi, settings.steps or config.trainer.steps)


def _check_semi(semi: SemiParams, steps: int) -> None:
    if semi.burn_in >= steps:
        rule, remedy = f"below the {steps} steps of the training", "lower it or set finetune.steps"
        raise InputError("finetune.semi.burn_in", rule, semi.burn_in, remedy)
    if not semi.views.strong and (semi.shrink or not semi.views.features):
        rule = "at least 1 with shrink" if semi.shrink else "at least 1 without views.features"
        raise InputError("finetune.semi.views.strong", rule, 0, "set it to 1")
    if semi.extra and not semi.extra.is_dir():
        raise InputError("finetune.semi.extra", "a folder", semi.extra, "check the path")
