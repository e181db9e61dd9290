"""The photograph of a sample, as large as its annotations say."""

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import read_image


def read_photograph(sample: Sample) -> NDArray[np.uint8]:
    """Return the photograph of a sample.

    To be read before anything is made of the sample's annotations: their file may claim any size.

    Args:
        sample: The image.

    Returns:
        (H, W, 3) uint8 RGB of the sample's size.

    Raises:
        InputError: As ``read_image``, or it is of another size than the annotations say.
    """
    image = read_image(sample.image)
    if image.shape[:2] != sample.size:
        rule, remedy = f"of the annotated size {sample.size}", "annotate this image or replace it"
        raise InputError(sample.image, rule, image.shape[:2], remedy)
    return image
