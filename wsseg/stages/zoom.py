"""The stage "zoom": networks on box crops improve the first label maps.

Seeds such as GrabCut see one image. A network that has learned from the seeds of other images, and
that sees every object at the same size, makes other errors: the average of both has fewer.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.cleaning import clean
from wsseg.data.annotation import Box
from wsseg.data.example import Example, example_of
from wsseg.data.model import Dataset, Sample
from wsseg.data.stacking import visible_box_index
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.networks.box_crops import OBJECT_OR_NOT, BoxCrop, predict_box
from wsseg.refine.params import CleaningParams
from wsseg.refine.refiners import identity
from wsseg.runs.config import Config
from wsseg.runs.labelling import ClassStats, label_images, label_path, samples_key, usable_samples
from wsseg.runs.names import ZOOM, fold_name
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage, read_manifest
from wsseg.seeds.grabcut import is_small
from wsseg.stages.labelled import label_table
from wsseg.stages.training import segmenter_of, train_on_pairs, training_stage

_CROP_ZOOM = (0.8, 1.25)  # range of the random factor of a crop's size
_BOTH = (True, True)  # every crop may show object and background


def zoom_labels(run: Run, dataset: Dataset, seeds: Stage) -> Stage | None:
    """Return the complete stage "zoom": first label maps with corrected objects in boxes.

    The images with boxes are dealt into ``zoom.folds`` parts. For each part, a network in the stage
    "zoom/fold-N" learns from box crops of the other parts, whose labels are the seeds, and predicts
    the boxes of its own part; see ``correct_boxes``. Other images keep their label maps.

    Args:
        seeds: The first label maps.

    Returns:
        A stage of label maps; None if ``zoom.folds`` is 0 or no box can be cropped.

    Raises:
        InputError: There are fewer images with boxes than parts, or the seeds of a training show no
            object.
        DivergenceError: The loss is NaN or infinite.
    """
    config = run.config
    samples = usable_samples(seeds, dataset.split(config.data.train))
    parts = deal(samples, config.zoom.folds)
    if not parts:
        return None
    folds = _train_folds(run, seeds, parts)
    rules = config.rounds.model_dump(include={"first_weight", "box_gap"})
    stage = run.stage(
        ZOOM,
        seeds=seeds,
        **{fold.name: fold for fold in folds},
        samples=samples_key(samples),
        rules=rules,
    )
    label = partial(
        _label,
        n_classes=len(dataset.classes),
        seeds=seeds,
        folds=folds,
        config=config,
        params=CleaningParams(**rules, reset_iou=0),
    )
    # Images of one part come together: few networks fit into the memory at the same time.
    part_of = {sample.id: number for number, part in enumerate(parts) for sample in part}
    ordered = sorted(samples, key=lambda sample: part_of.get(sample.id, -1))
    return label_images(run, stage, label, ordered, seeds.skipped)


def cropped_boxes(sample: Sample) -> list[Box]:
    """Return the boxes of an image that networks on box crops see: no crowds, no small ones."""
    return [box for box in sample.boxes if not box.crowd and not is_small(box)]


def deal(samples: Sequence[Sample], folds: int) -> list[list[Sample]]:
    """Return the images with boxes in parts of about the same size.

    Args:
        folds: Number of parts; 0 returns none.

    Raises:
        InputError: There are fewer images with boxes than parts.
    """
    boxed = [sample for sample in samples if cropped_boxes(sample)] if folds else []
    if 0 < len(boxed) < folds:
        rule = f"at most {len(boxed)}, the number of training images with boxes of 9 pixels or more"
        raise InputError("zoom.folds", rule, folds, "annotate more images, or set it to 0")
    return [boxed[number::folds] for number in range(folds)] if boxed else []


def correct_boxes(
    shares: Sequence[tuple[Box, NDArray[np.floating]]],
    example: Example,
    first: NDArray[np.uint8],
    params: CleaningParams,
) -> NDArray[np.uint8]:
    """Return a label map whose objects are the average of first labels and of predictions.

    Segments then grow to the sides of their boxes; see ``fit_segment``. Only the visible parts of
    the boxes change, i.e. the parts that smaller boxes in front leave, and IGNORE stays.

    Args:
        shares: Boxes and the predicted probability of their object, (box height, box width).
        first: (H, W) uint8 label map.
        params: ``first_weight`` of the average, and ``box_gap``; null leaves segments as they are.

    Returns:
        (H, W) uint8 label map that the constraints allow.
    """
    boxes, classes = example.sample.boxes, example.constraints.classes
    scores = np.zeros((len(classes), *first.shape), np.float32)
    for box, share in shares:
        own = scores[(classes == box.label).argmax()][box.slices]
        np.maximum(own, share, out=own)
    scores[0] = 1 - scores.max(axis=0)
    corrected = clean(scores, example, first, params, identity).label_map
    is_cropped = np.isin(
        visible_box_index(boxes, first.shape), [boxes.index(box) for box, _ in shares]
    )
    label_map = np.where(is_cropped & (first != IGNORE), corrected, first).astype(np.uint8)
    return example.constraints.project(label_map)


def _train_folds(run: Run, seeds: Stage, parts: Sequence[Sequence[Sample]]) -> list[Stage]:
    config = _crop_config(run.config)
    training = [[s for part in parts if part is not own for s in part] for own in parts]
    for number, samples in enumerate(training, 1):
        _check_objects(seeds, samples, number)
    folds = []
    for number, (samples, own) in enumerate(zip(training, parts, strict=True), 1):
        stage = training_stage(
            Run(run.path, config),
            fold_name(number),
            OBJECT_OR_NOT,
            labels=seeds,
            samples=samples_key(samples),
        )
        crops = partial(_crops, seeds, samples, config.zoom.side)
        held_out = [sample.id for sample in own]
        folds.append(train_on_pairs(stage, crops, OBJECT_OR_NOT, config, held_out=held_out))
    return folds


def _crop_config(config: Config) -> Config:
    """Return the settings of a training on box crops, which have a size of their own."""
    side, steps = config.zoom.side, config.zoom.steps
    changes = {"steps": steps, "crop": (side, side), "zoom": _CROP_ZOOM}
    trainer = config.trainer.model_copy(update=changes)
    model = config.model.model_copy(update={"scale": 1.0})
    return config.model_copy(update={"trainer": trainer, "model": model})


def _check_objects(seeds: Stage, samples: Sequence[Sample], number: int) -> None:
    """Raise if the label maps of a training show no object of the boxes."""
    table = label_table(seeds)
    labelled = {*zip(table["id"], table["class"], strict=True)}
    if not any((s.id, box.label) in labelled for s in samples for box in cropped_boxes(s)):
        problem = f"{fold_name(number)} cannot learn: no label map of stage {seeds.name}"
        raise InputError(
            f"{problem} shows an object in a box in the images of the other parts",
            hint="choose another seed, or set zoom.folds=0",
        )


def _crops(seeds: Stage, samples: Sequence[Sample], side: int) -> list[BoxCrop]:
    return [
        BoxCrop(s.image, label_path(seeds, s), _BOTH, s.boxes, s.reading, box=box, side=side)
        for s in samples
        for box in cropped_boxes(s)
    ]


def _label(
    sample: Sample,
    *,
    n_classes: int,
    seeds: Stage,
    folds: Sequence[Stage],
    config: Config,
    params: CleaningParams,
) -> tuple[NDArray[np.uint8], ClassStats]:
    first, boxes = read_label_map(label_path(seeds, sample)), cropped_boxes(sample)
    if not boxes:
        return first, {}
    example = example_of(sample, n_classes)
    fold = next(fold for fold in folds if sample.id in fold.load(_held_out))
    segmenter = segmenter_of(fold, config.machine.device)
    side = config.zoom.side
    shares = [(box, predict_box(segmenter, example.image, box, side)) for box in boxes]
    return correct_boxes(shares, example, first, params), {}


def _held_out(folder: Path) -> frozenset[str]:
    manifest = read_manifest(folder)
    return frozenset(manifest.results["held_out"] if manifest else ())
