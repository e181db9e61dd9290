"""Weak annotations to pixel labels and a trained segmenter: the recipe, top to bottom.

    python pipelines/weak.py configs/demo_boxes.yaml rounds.count=2

Each image may carry tags, boxes, points, scribbles, polygons, masks, several of these, or nothing.
The annotations decide which stages apply. A stage is a folder in that of the run; a finished one
is skipped, an interrupted one is resumed. Copy this file and change it.
"""

from wsseg.cli import run_script
from wsseg.data.truth import load
from wsseg.report.run_report import report_run
from wsseg.runs.config import Config
from wsseg.runs.engine import report_problems
from wsseg.runs.run import open_run
from wsseg.stages.checks import check_before_work, check_settings
from wsseg.stages.measure import measure
from wsseg.stages.rounds import clean_labels, predict_val, seed_labels, train_segmenter
from wsseg.stages.signals import inspect
from wsseg.stages.stopping import end_rounds
from wsseg.stages.tags.affinity import learn_affinity
from wsseg.stages.tags.classifier import only_tagged, train_classifier
from wsseg.stages.tags.maps import label_by_maps, locate_tags, spread_maps
from wsseg.stages.tags.objects import focus_maps
from wsseg.stages.thresholds import measure_thresholds
from wsseg.stages.zoom import zoom_labels


def main(config: Config) -> None:
    """Run the recipe."""
    check_settings(config)
    with open_run(config) as run:
        data = load(config.data)
        dataset, truth = data.dataset, data.truth  # The truth measures; it never makes labels.
        report_problems(dataset.problems, config.strict)
        check_before_work(config, dataset)
        training_images = dataset.split(config.data.train)
        validation_images = dataset.split(config.data.val) if config.data.val else ()

        # Images that have nothing but tags: activation maps of a classifier become labels.
        # Without such images these stages do not apply and return None.
        tagged = only_tagged(dataset, config.data.train)
        classifier = train_classifier(run, dataset, tagged)
        maps = locate_tags(run, tagged, classifier)
        measure_thresholds(run, maps, truth, tagged.samples)
        maps = spread_maps(run, tagged, maps, learn_affinity(run, tagged, maps, classifier))
        maps = focus_maps(run, tagged, maps)
        measure_thresholds(run, maps, truth, tagged.samples)
        tag_labels = label_by_maps(run, tagged, maps)

        # Round 0: the first label maps.
        seeds = labels = first = seed_labels(run, dataset, tag_labels)
        measure(run, labels, truth, training_images)
        inspect(run, history := [seeds], training_images)

        # With zoom.folds, networks on box crops improve them; cleaning then starts from the result.
        if zoomed := zoom_labels(run, dataset, seeds):
            labels = first = zoomed
            measure(run, labels, truth, training_images)
            inspect(run, history := [*history, labels], training_images)

        # Each round: learn the labels, predict the same images, clean by the annotations.
        model = None
        for number in config.rounds.numbers:
            model = train_segmenter(run, dataset, labels, number, model)
            measure(run, predict_val(run, dataset, model), truth, validation_images)
            labels = clean_labels(run, dataset, model, first)
            measure(run, labels, truth, training_images)
            inspect(run, history := [*history, labels], training_images)
            if end_rounds(run, history, dataset.classes):
                break

        report_run(run.path, dataset=dataset, truth=truth)


if __name__ == "__main__":
    run_script(main)
