"""Weak labels and a few masks to the best segmenter: the recipe, top to bottom. Copy and change it.

    python pipelines/finetune.py configs/msrc_finetune.yaml finetune.method=augment

The masks are those of ``data.masks``, or laid over the images. ``finetune.base`` is a finished run
on the weak labels; without it the masks alone train the first network.
"""

from wsseg.cli import run_script
from wsseg.data.truth import load
from wsseg.report.run_report import report_run
from wsseg.runs.config import Config
from wsseg.runs.engine import report_problems
from wsseg.runs.run import open_run
from wsseg.stages.checks import check_before_work, check_settings
from wsseg.stages.finetune.base_run import load_base_run
from wsseg.stages.finetune.filtering import calibrate, filter_labels
from wsseg.stages.finetune.masks import label_masks, train_supervised
from wsseg.stages.finetune.pseudo_labels import predict_pseudo_labels
from wsseg.stages.finetune.training import finetune
from wsseg.stages.measure import measure
from wsseg.stages.rounds import clean_labels, predict_val
from wsseg.stages.signals import inspect


def main(config: Config) -> None:
    """Run the recipe."""
    check_settings(config)
    data, settings = config.data, config.finetune
    with open_run(config) as run:
        loaded = load(data)
        dataset, truth = loaded.dataset, loaded.truth  # the truth measures and never teaches
        report_problems(dataset.problems, config.strict)
        check_before_work(config, dataset)
        training_images = dataset.split(data.train)
        validation_images = dataset.split(data.val) if data.val else ()

        base = load_base_run(settings.base, dataset.classes) if settings.base else None

        # A network from the masks alone: the first network, or a baseline to compare with.
        masks = label_masks(run, dataset)
        if base is None or settings.masks_only or settings.method == "supervised":
            alone = train_supervised(run, dataset, masks)
            measure(run, predict_val(run, dataset, alone.model), truth, validation_images)
            base = base or alone

        if settings.method != "supervised":
            # Confident pseudo-labels of the base run, with thresholds calibrated on the masks.
            predicted = predict_pseudo_labels(run, dataset, base)
            calibration = calibrate(run, dataset, predicted)
            filtered = filter_labels(run, dataset, predicted, calibration)
            measure(run, filtered, truth, training_images)
            inspect(run, [filtered], training_images)

            # Masks and all this together.
            model = finetune(
                run,
                dataset,
                base,
                predicted=predicted,
                calibration=calibration,
                filtered=filtered,
            )
            measure(run, predict_val(run, dataset, model), truth, validation_images)
            labels = clean_labels(run, dataset, model, predicted)
            measure(run, labels, truth, training_images)
            inspect(run, [filtered, labels], training_images)

        report_run(run.path, dataset=dataset, truth=truth)


if __name__ == "__main__":
    run_script(main)
