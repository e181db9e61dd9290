"""Parameters of foundation models."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PositiveInt

from wsseg.params import AbsolutePath, Params


def _absolute(name: str) -> str:
    """Return the absolute path of a folder, so that a run finds it from another place."""
    folder = Path(name).expanduser()
    return str(folder.absolute()) if folder.is_dir() else name


ModelName = Annotated[
    str,
    BeforeValidator(lambda name: str(name) if isinstance(name, Path) else name),
    AfterValidator(_absolute),
]
"""The folder of a model's weights, or its name on the Hugging Face Hub."""


class SamParams(Params):
    """The Segment Anything model of the seed and of the refiner ``sam``."""

    model: ModelName | None = None
    """A Segment Anything model (SAM 1, 2 or 3): the folder of its weights, or its name on the
    Hugging Face Hub, such as "facebook/sam2.1-hiera-tiny". Needs the extra "foundation".
    """
    batch_size: PositiveInt = 8
    """Number of images that a GPU encodes at a time; fewer if its memory does not suffice."""
    cache: AbsolutePath | None = None
    """Folder that keeps the embeddings of images, so that rounds and other runs with the same model
    do not compute them again: about 16 MB for each image and SAM 2.
    """
