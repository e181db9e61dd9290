"""Images without masks: those of the data set, and others that nothing is known of."""

from collections.abc import Sequence
from pathlib import Path

from wsseg.annotations.model import Dataset, Sample
from wsseg.annotations.naming import is_masked
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_size
from wsseg.run.labelling import labelled
from wsseg.run.progress import say
from wsseg.run.settings import Config
from wsseg.run.stage import Stage


def unlabelled_images(dataset: Dataset, config: Config, predicted: Stage) -> list[Sample]:
    """Return the training images that have no mask, and those of ``finetune.semi.extra``.

    Args:
        dataset: Samples with annotations.
        config: Names the training split and the folder of extra images.
        predicted: A stage that set aside what cannot be read.

    Returns:
        The images.

    Raises:
        InputError: There is none.
    """
    samples = labelled(predicted, dataset.split(config.data.train))
    found = [sample for sample in samples if not is_masked(sample)]
    if config.finetune.semi.extra:
        found += extra_images(config.finetune.semi.extra, config.data.train)
    if not found:
        remedy = "set finetune.semi.extra, or another finetune.method"
        raise InputError("finetune.method semi", "given images without masks", "none", remedy)
    return found


def extra_images(folder: Path, split: str) -> list[Sample]:
    """Return all images below a folder, nothing known of them.

    Args:
        folder: Searched with the folders in it.
        split: That they join.

    Returns:
        The images that can be opened; the others are told.

    Raises:
        InputError: There is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"finetune.semi.extra {folder}", "a folder", "none", "check the path")
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
    found = [sample for path in paths for sample in _opened(path, folder, split)]
    if not found:
        rule, remedy = "a folder with images", "check the path"
        raise InputError(f"finetune.semi.extra {folder}", rule, "no readable image", remedy)
    return found


def _opened(path: Path, folder: Path, split: str) -> Sequence[Sample]:
    try:
        size = image_size(path)
    except InputError as error:
        say(f"left out: {error}")
        return ()
    name = path.relative_to(folder).with_suffix("").as_posix()
    return (Sample(f"extra/{name}", path, size, (), split),)
