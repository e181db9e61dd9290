"""The last stage: a few pixel labels, and what they are worth beside weak ones."""

from wsseg.finetune.base import Base, open_base
from wsseg.finetune.filtering import calibrate, filter_labels
from wsseg.finetune.given import mask_labels, train_on_masks
from wsseg.finetune.settings import check_finetune_settings
from wsseg.finetune.sureness import label_surely
from wsseg.finetune.training import Sources, finetune

__all__ = [
    "Base",
    "Sources",
    "calibrate",
    "check_finetune_settings",
    "filter_labels",
    "finetune",
    "label_surely",
    "mask_labels",
    "open_base",
    "train_on_masks",
]
