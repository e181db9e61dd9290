"""One image with everything that its annotations say about its pixels."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints, constraints_of
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import read_image


@dataclass(frozen=True, eq=False)
class Example:
    """The input of seeds, cleaning and plug-ins.

    Both properties are computed at their first use and kept.

    Attributes:
        sample: The annotations, and where the image is stored.
        n_classes: Number of classes of the data set, background included.
    """

    sample: Sample
    n_classes: int

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB.

        Raises:
            InputError: The file cannot be read, or its size differs from ``sample.size``.
        """
        return read_sample_image(self.sample)

    @cached_property
    def constraints(self) -> Constraints:
        """The classes that each pixel may take; see ``constraints_of``."""
        # An annotation file may claim any size: the image is read first, and checked against it.
        assert self.image.shape[:2] == self.sample.size
        return constraints_of(self.sample, self.n_classes)


def read_sample_image(sample: Sample) -> NDArray[np.uint8]:
    """Return the image of a sample as (H, W, 3) uint8 RGB.

    Raises:
        InputError: The file cannot be read, or its size differs from ``sample.size``.
    """
    image = read_image(sample.image, sample.reading)
    _check_size(sample, image)
    return image


def example_of(sample: Sample, n_classes: int, image: NDArray[np.uint8] | None = None) -> Example:
    """Return the example of a sample.

    Args:
        n_classes: Number of classes of the data set, background included.
        image: (H, W, 3) uint8 RGB of the sample's size, if it is in memory already; by default
            ``sample.image`` is read at the first use.

    Raises:
        InputError: ``image`` has another size than the annotations.
    """
    example = Example(sample, n_classes)
    if image is not None:
        _check_size(sample, image)
        example.__dict__["image"] = image
    return example


def _check_size(sample: Sample, image: NDArray[np.uint8]) -> None:
    if image.shape != (*sample.size, 3):
        rule, remedy = f"of the annotated size {sample.size}", "annotate this image or replace it"
        raise InputError(sample.image, rule, image.shape[:2], remedy)
