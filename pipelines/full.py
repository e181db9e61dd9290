"""The full-supervision upper bound: the same trainer on the true masks of the training images.

python pipelines/full.py configs/msrc_full.yaml
"""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wsseg.cli import run_script
from wsseg.data.model import Sample
from wsseg.data.truth import load, true_label_map
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.report.run_report import report_run
from wsseg.runs.config import Config
from wsseg.runs.engine import report_problems
from wsseg.runs.labelling import ClassStats, label_images, samples_key
from wsseg.runs.names import SEEDS
from wsseg.runs.run import open_run
from wsseg.stages.checks import check_before_work, check_settings
from wsseg.stages.measure import measure
from wsseg.stages.rounds import predict_val, train_segmenter


def main(config: Config) -> None:
    """Train on the truth and measure.

    Args:
        config: The resolved settings; ``seeds``, ``crf`` and ``rounds`` are not used.
    """
    check_settings(config)
    data = config.data
    with open_run(config) as run:
        loaded = load(data)
        dataset, truth = loaded.dataset, loaded.truth  # the truth measures and never teaches
        report_problems(dataset.problems, config.strict)
        check_before_work(config, dataset)
        validation_images = dataset.split(data.val) if data.val else ()

        masks = [truth.with_mask(s) for s in dataset.split(data.train) if truth.covers(s)]
        if not masks:
            rule, remedy = "a split with masks", "add masks or choose pipeline=weak"
            raise InputError(f"split {data.train!r}", rule, "none", remedy)
        stage = run.stage(SEEDS, truth=samples_key(masks), classes=list(truth.classes))
        labels = label_images(run, stage, partial(_copied, n_classes=len(truth.classes)), masks)
        model = train_segmenter(run, replace(dataset, samples=tuple(masks)), labels, number=1)
        measure(run, predict_val(run, dataset, model), truth, validation_images)
        report_run(run.path, dataset=dataset, truth=truth)


def _copied(sample: Sample, n_classes: int) -> tuple[NDArray[np.uint8], ClassStats]:
    read_image(sample.image, sample.reading)  # raises for a damaged image, which is then skipped
    return true_label_map(sample, n_classes), {}


if __name__ == "__main__":
    run_script(main)
