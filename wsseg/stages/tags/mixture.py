"""Tags of images that carry annotations of any kind."""

from dataclasses import replace

from wsseg.data.classes import is_only_tagged, tags_of
from wsseg.data.model import Dataset, Sample
from wsseg.parallel import Skipped
from wsseg.runs.config import Config
from wsseg.runs.engine import map_samples
from wsseg.runs.progress import log


def only_tagged(dataset: Dataset, split: str) -> Dataset:
    """Return the images of a split of which nothing but tags is known.

    Args:
        dataset: Samples with annotations of any kind.
        split: Such as "train".

    Returns:
        A data set of these images, perhaps none.
    """
    samples = tuple(s for s in dataset.samples if s.split == split and is_only_tagged(s))
    return replace(dataset, samples=samples)


def with_all_tags(dataset: Dataset, config: Config) -> Dataset:
    """Return a data set to train a classifier of tags on: whatever is drawn names its class.

    Args:
        dataset: Samples with annotations of any kind.
        config: Says with how many processes masks are read, and whether the run is strict.

    Returns:
        The images with tags in place of their annotations; those that nothing says enough of to
        call a class absent have none.

    Raises:
        InputError: The file of a mask is damaged, when the run is strict; otherwise it is told and
            its image has no tags.
    """
    tagged = {(s.split, s.id): replace(s, annotations=()) for s in dataset.samples}
    for result in map_samples(_tagged, dataset.samples, config):
        if isinstance(result, Skipped):
            log(f"tags: {result.id} is left out: {result.reason}")
        else:
            tagged[result.split, result.id] = result
    return replace(dataset, samples=tuple(tagged.values()))


def _tagged(sample: Sample) -> Sample:
    tags = tags_of(sample)
    return replace(sample, annotations=(tags,) if tags else ())
