"""Parameters of foundation models."""

from pydantic import PositiveInt

from wsseg.params import AbsolutePath, Params


class SamParams(Params):
    """The Segment Anything model of the seed and of the refiner ``sam``."""

    model: str | None = None
    """A Segment Anything model (SAM 1, 2 or 3): the folder of its weights, or its name on the
    Hugging Face Hub, such as "facebook/sam2.1-hiera-tiny". Needs the extra "foundation".
    """
    batch_size: PositiveInt = 8
    """Number of images that a GPU encodes at a time; fewer if its memory does not suffice."""
    cache: AbsolutePath | None = None
    """Folder that keeps the embeddings of images, so that rounds and other runs with the same model
    do not compute them again: about 8 MB for each image and SAM 2.
    """
