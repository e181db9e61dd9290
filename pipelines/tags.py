"""Tags to pixel labels and a trained segmenter: the recipe, top to bottom. Copy and change it.

    python pipelines/tags.py configs/demo_tags.yaml rounds.count=1

Every stage is a folder below the run's; a finished one is skipped, an interrupted one goes on.
"""

from wsseg.cli import run_script
from wsseg.data.load import read_weak
from wsseg.data.truth import read_truth
from wsseg.report.run_report import report_run
from wsseg.runs.config import Config
from wsseg.runs.engine import report_problems
from wsseg.runs.run import open_run
from wsseg.stages.measure import measure
from wsseg.stages.rounds import check_settings, clean_labels, predict_val, train_segmenter
from wsseg.stages.signals import inspect
from wsseg.stages.stopping import end_rounds
from wsseg.stages.tags.affinity import learn_affinity
from wsseg.stages.tags.classifier import check_tag_settings, train_classifier
from wsseg.stages.tags.maps import label_by_maps, locate_tags, spread_maps
from wsseg.stages.thresholds import measure_thresholds


def main(config: Config) -> None:
    """Run the recipe.

    Args:
        config: The resolved settings; ``seeds`` is not used.
    """
    check_settings(config)
    check_tag_settings(config)
    data = config.data
    with open_run(config) as run:
        dataset = read_weak(data)
        report_problems(dataset.problems, config.strict)
        training_images = dataset.split(data.train)
        validation_images = dataset.split(data.val) if data.val else ()
        truth = read_truth(data.root, data.format, data.splits)  # measures, never teaches

        # Round 0: where a classifier sees the tags; what it is unsure of stays IGNORE.
        classifier = train_classifier(run, dataset)
        maps = locate_tags(run, dataset, classifier)
        measure_thresholds(run, maps, truth, training_images)
        affinity_net = learn_affinity(run, dataset, maps, classifier)
        maps = spread_maps(run, dataset, maps, affinity_net)
        measure_thresholds(run, maps, truth, training_images)
        seeds = labels = label_by_maps(run, dataset, maps)
        measure(run, labels, truth, training_images)
        inspect(run, history := [seeds], training_images)

        # Each round: learn the labels, predict the same images, forbid what is not tagged.
        model = None
        for number in config.rounds.numbers:
            model = train_segmenter(run, dataset, labels, number, model)
            measure(run, predict_val(run, dataset, model), truth, validation_images)
            labels = clean_labels(run, dataset, model, seeds)
            measure(run, labels, truth, training_images)
            inspect(run, history := [*history, labels], training_images)
            if end_rounds(run, history, dataset.classes):
                break

        report_run(run.path)


if __name__ == "__main__":
    run_script(main)
