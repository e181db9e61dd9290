"""Images without masks: those of the data set, and others that nothing is known of."""

from collections.abc import Sequence
from pathlib import Path

from wsseg.data.classes import has_full_mask
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.images import image_files, image_size
from wsseg.runs.labelling import usable_samples
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.base_run import Base
from wsseg.stages.finetune.outliers import without_outliers


def unlabelled_images(run: Run, dataset: Dataset, base: Base, predicted: Stage) -> list[Sample]:
    """Return the training images that have no mask, and those of ``finetune.semi.extra``.

    Args:
        run: Its settings name the training split and the folder of extra images.
        dataset: Samples with annotations.
        base: Its encoder says which extra images are unlike the data set.
        predicted: A stage that set aside what cannot be read.

    Returns:
        The images.

    Raises:
        InputError: There is none.
    """
    config, semi = run.config, run.config.finetune.semi
    samples = usable_samples(predicted, dataset.split(config.data.train))
    found = [sample for sample in samples if not has_full_mask(sample)]
    if semi.extra:
        extra = extra_images(semi.extra, config.data.train)
        if semi.reject:
            extra = without_outliers(run, base, samples, extra, semi.reject)
        found += extra
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
        InputError: There is no image in it.
    """
    found = [sample for path in image_files(folder) for sample in _opened(path, folder, split)]
    if not found:
        rule, remedy = "a folder with images", "check the path"
        raise InputError(f"finetune.semi.extra {folder}", rule, "no readable image", remedy)
    return found


def _opened(path: Path, folder: Path, split: str) -> Sequence[Sample]:
    try:
        size = image_size(path)
    except InputError as error:
        log(f"left out: {error}")
        return ()
    name = path.relative_to(folder).with_suffix("").as_posix()
    return (Sample(f"extra/{name}", path, size, (), split),)
