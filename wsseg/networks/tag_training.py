"""What a tag classifier learns from: targets, augmented crops, the loss, and how good it is."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import binary_average_precision
from torchvision.transforms import v2

from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.networks.batches import GRAY, StepBatches, normalised, zoomed_size
from wsseg.networks.params import ClassifierParams, ClassifierTrainingParams

UNSURE = -1
"""The target of a tag of which nobody knows whether it holds."""


class TagBatches(StepBatches):
    """Batches of augmented crops and their tags, one a step.

    Args:
        samples: Images with tags.
        classes: The class names.
        settings: Scale and normalisation of the input, and the trainer's crop, zoom and so on.
        seed: Of order and augmentation.

    Yields:
        Images (B, 3, h, w) float32, normalised, and targets (B, K) of ``tag_targets``.
    """

    def __init__(
        self, samples: Sequence[Sample], classes: Classes, settings: ClassifierParams, seed: int
    ) -> None:
        super().__init__(len(samples), settings.trainer, seed=seed)
        self.images = [sample.image for sample in samples]
        self.targets = tag_targets(samples, classes)
        self.network, self.augment = settings, _augmentation(settings.trainer)

    def example(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an augmented crop and the tags of its image.

        Args:
            index: Of the image.

        Returns:
            Image (3, h, w) float32, normalised, and target (K,) float32.
        """
        pixels = read_image(self.images[index])
        size = zoomed_size(pixels.shape[:2], self.network.scale, self.network.trainer.zoom)
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        crop = self.augment(v2.functional.resize(image, size))
        return normalised(crop, self.network), self.targets[index]


def tag_targets(samples: Sequence[Sample], classes: Classes) -> Tensor:
    """Return what a classifier is to say of some images.

    Args:
        samples: Images with tags.
        classes: The class names.

    Returns:
        (N, K) float32: 1 present, 0 absent, UNSURE.
    """
    targets = torch.zeros(len(samples), len(classes) - 1)
    for row, sample in zip(targets, samples, strict=True):
        tags = sample.tags
        if tags is None:
            raise TypeError(f"{sample.id} has no tags")
        row[[label - 1 for label in tags.present]] = 1
        row[[label - 1 for label in tags.unsure]] = UNSURE
    return targets


def check_targets(targets: Tensor, classes: Classes) -> list[str]:
    """Refuse tags that no classifier can be learnt from.

    Args:
        targets: Of ``tag_targets``.
        classes: The class names.

    Returns:
        Tags that no image has; they will not be learnt.

    Raises:
        InputError: There is no tag, or a tag is in every image, so that nothing tells the object
            from what surrounds it.
    """
    present, absent = (targets == 1).sum(dim=0), (targets == 0).sum(dim=0)
    if not present.any():
        rule, remedy = "of at least one class", "tag the images that show an object"
        raise InputError("tags of the training images", rule, "none", remedy)
    for name, with_it, without in zip(classes.names[1:], present, absent, strict=True):
        if with_it and not without:
            rule = "absent from some training images, as a classifier learns from the difference"
            remedy = "add images without it (with an empty tag list), or draw boxes"
            raise InputError(f"tag {name!r}", rule, f"present in all {int(with_it)}", remedy)
    return [name for name, count in zip(classes.names[1:], present, strict=True) if not count]


def soft_margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the multi-label soft-margin loss over the tags that are known.

    Args:
        logits: (N, K).
        targets: (N, K): 1 present, 0 absent, UNSURE has no part in it.

    Returns:
        Scalar; the mean over known tags, 0 where there is none.
    """
    known = targets != UNSURE
    losses = functional.binary_cross_entropy_with_logits(
        logits, targets.clamp(min=0), reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def average_precision(scores: Tensor, targets: Tensor, classes: Classes) -> dict[str, float]:
    """Return how well each tag's score ranks images that have it before those that do not.

    Args:
        scores: (N, K), 0..1, higher is surer.
        targets: (N, K) of ``tag_targets``; UNSURE images do not count.
        classes: The class names.

    Returns:
        Average precision, 0..1, of each tag that some image has and some has not.
    """
    columns = zip(classes.names[1:], scores.T, targets.T.long(), strict=True)
    return {
        name: binary_average_precision(ranked, tagged, ignore_index=UNSURE).item()
        for name, ranked, tagged in columns
        if (tagged == 1).any() and (tagged == 0).any()
    }


def mean(values: Iterable[float]) -> float:
    """Return the mean of some numbers, NaN of none."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else float("nan")


def _augmentation(trainer: ClassifierTrainingParams) -> v2.Compose:
    jitter = trainer.jitter
    return v2.Compose(
        [
            v2.RandomCrop(trainer.crop, pad_if_needed=True, fill=GRAY),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(jitter, jitter, jitter, jitter / 6),
            v2.RandomErasing(trainer.erase, scale=(0.02, 0.25), value=GRAY),
        ]
    )
