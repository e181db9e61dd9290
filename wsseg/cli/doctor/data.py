"""The data set of a configuration, as a run would read it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from wsseg.cli.doctor.found import Found, refused
from wsseg.data.formats.table import detect_format
from wsseg.data.load import read_weak
from wsseg.data.model import Dataset
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.runs.config import Config


def index(data: DataParams) -> Dataset:
    """Return the data set of a run; demo scenes that nobody has made yet are made elsewhere.

    Args:
        data: Where it lies.

    Returns:
        Its images and their sizes, no pixel decoded.

    Raises:
        InputError: As ``read_weak``, or a split has no images.
    """
    if data.format == "scenes" and not data.root.exists():
        with tempfile.TemporaryDirectory(prefix="wsseg-doctor-") as folder:
            dataset = read_weak(data.model_copy(update={"root": Path(folder)}))
    else:
        dataset = read_weak(data)
    for split in data.splits:
        dataset.split(split)
    return dataset


def look(config: Config, dataset: Dataset | InputError) -> Iterator[Found]:
    """Yield what a run would find in the data set.

    Args:
        config: The resolved settings.
        dataset: Of ``index``, or why there is none.

    Yields:
        Its format and images, and what is wrong with some of them.
    """
    data = config.data
    if isinstance(dataset, InputError):
        yield refused("data", dataset)
        return
    format = detect_format(data.root) if data.format == "auto" else data.format
    counts = ", ".join(f"{len(dataset.split(split))} {split}" for split in data.splits)
    classes = f"{len(dataset.classes) - 1} classes"
    made = "" if data.root.exists() else ", generated when the run starts"
    found = f"{data.root}: {format}{made}; images: {counts}; {classes}"
    yield Found("data", "ok", found)
    if fatal := [problem for problem in dataset.problems if problem.fatal]:
        found = f"{len(fatal)} images or files cannot be used, such as {fatal[0].subject}"
        remedy = f"wsseg check {data.root} names them"
        yield Found("data", "problem" if config.strict else "warning", found, remedy)
