"""All settings of a run, typed: what each means, its rule and its default."""

from wsseg.run.settings.finetune import (
    FilterSettings,
    FinetuneSettings,
    SemiSettings,
    TeacherSettings,
    ViewSettings,
)
from wsseg.run.settings.labels import (
    CAMSettings,
    CRFSettings,
    PARSettings,
    SeedSettings,
    WalkSettings,
)
from wsseg.run.settings.networks import (
    AffinitySettings,
    ClassifierSettings,
    ClassifierTrainerSettings,
    FitSettings,
    LossSettings,
    ModelSettings,
    NetworkSettings,
    PredictionSettings,
    TrainerSettings,
)
from wsseg.run.settings.whole import Config, DataSettings, RaySettings, RoundSettings

__all__ = [
    "AffinitySettings",
    "CAMSettings",
    "CRFSettings",
    "ClassifierSettings",
    "ClassifierTrainerSettings",
    "Config",
    "DataSettings",
    "FilterSettings",
    "FinetuneSettings",
    "FitSettings",
    "LossSettings",
    "ModelSettings",
    "NetworkSettings",
    "PARSettings",
    "PredictionSettings",
    "RaySettings",
    "RoundSettings",
    "SeedSettings",
    "SemiSettings",
    "TeacherSettings",
    "TrainerSettings",
    "ViewSettings",
    "WalkSettings",
]
