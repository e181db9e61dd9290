"""Image tags to first labels, in stages: a classifier, its activation maps, confident labels."""

from wsseg.tags.affinity import learn_affinity
from wsseg.tags.classifier import check_tag_settings, train_classifier
from wsseg.tags.maps import label_by_maps, locate_tags, spread_maps
from wsseg.tags.mixture import only_tagged, with_all_tags

__all__ = [
    "check_tag_settings",
    "label_by_maps",
    "learn_affinity",
    "locate_tags",
    "only_tagged",
    "spread_maps",
    "train_classifier",
    "with_all_tags",
]
