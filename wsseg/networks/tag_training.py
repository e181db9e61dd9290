"""Training data, loss and figures of the tag classifier."""

from collections.abc import Sequence

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.networks.batches import GRAY, JITTER, StepBatches, normalize, random_size
from wsseg.networks.params import ClassifierTrainingParams, NetworkParams

UNSURE = -1
"""The target of a tag that may or may not apply."""


class TagBatches(StepBatches):
    """Batches of augmented crops and their tags, one per step.

    Args:
        samples: Images with tags.
        model: Scale and normalisation of the images.
        seed: Seed of order and augmentation.

    Yields:
        Images (B, 3, h, w) float32, normalised, and targets (B, K) of ``tag_targets``.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        classes: Classes,
        model: NetworkParams,
        trainer: ClassifierTrainingParams,
        *,
        seed: int,
    ) -> None:
        super().__init__(len(samples), trainer, seed=seed)
        self.samples = tuple(samples)
        self.targets = tag_targets(samples, classes)
        self.model, self.zoom = model, trainer.zoom
        self.augment = v2.Compose(
            [
                v2.RandomCrop(trainer.crop, pad_if_needed=True, fill=GRAY),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(JITTER, JITTER, JITTER, JITTER / 6),
            ]
        )

    def example(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a crop (3, h, w) float32, normalised, and the target (K,) of its image."""
        sample = self.samples[index]
        pixels = read_image(sample.image, sample.reading)
        size = random_size(pixels.shape[:2], self.model.scale, self.zoom)
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        crop = self.augment(v2.functional.resize(image, size))
        return normalize(crop, self.model), self.targets[index]


def tag_targets(samples: Sequence[Sample], classes: Classes) -> Tensor:
    """Return the targets (N, K) float32 of tagged images: 1 present, 0 absent, or UNSURE."""
    targets = torch.zeros(len(samples), len(classes) - 1)
    for row, sample in zip(targets, samples, strict=True):
        tags = sample.tags
        if tags is None:
            raise TypeError(f"{sample.id} has no tags")
        row[[label - 1 for label in tags.present]] = 1
        row[[label - 1 for label in tags.unsure]] = UNSURE
    return targets


def check_targets(targets: Tensor, classes: Classes) -> list[str]:
    """Raise if no classifier can be learned from tags.

    Returns:
        The tags that no image has; they cannot be learned.

    Raises:
        InputError: There is no tag, or a tag is in every image, so that no image shows the
            surroundings without the object.
    """
    present, absent = (targets == 1).sum(dim=0), (targets == 0).sum(dim=0)
    if not present.any():
        rule, remedy = "of at least one class", "tag the images that show an object"
        raise InputError("tags of the training images", rule, "none", remedy)
    for name, with_it, without in zip(classes.names[1:], present, absent, strict=True):
        if with_it and not without:
            rule = "absent from some training images, as a classifier learns from the difference"
            remedy = "add images without it, draw boxes, or leave it out of data.classes"
            raise InputError(f"tag {name!r}", rule, f"present in all {int(with_it)}", remedy)
    return [name for name, count in zip(classes.names[1:], present, strict=True) if not count]


def soft_margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the multi-label soft-margin loss over the tags that are not UNSURE.

    Args:
        logits: (N, K).
        targets: (N, K): 1 present, 0 absent, or UNSURE.

    Returns:
        Scalar; 0 if every tag is UNSURE.
    """
    is_known = targets != UNSURE
    losses = functional.binary_cross_entropy_with_logits(
        logits, targets.clamp(min=0), reduction="none"
    )
    return (losses * is_known).sum() / is_known.sum().clamp(min=1)


def average_precision(scores: Tensor, targets: Tensor, classes: Classes) -> dict[str, float]:
    """Return the average precision, 0..1, of each tag that some images have and some have not.

    Args:
        scores: (N, K), 0..1.
        targets: (N, K) of ``tag_targets``; UNSURE images do not count.
    """
    precisions = {}
    for name, column, target in zip(classes.names[1:], scores.T, targets.T, strict=True):
        if (target == 1).any() and (target == 0).any():
            is_known = target != UNSURE
            precision = average_precision_score(target[is_known], column[is_known])
            precisions[name] = float(precision)
    return precisions
