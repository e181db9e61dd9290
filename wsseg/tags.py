"""Image tags to first labels, in stages: a classifier, its activation maps, confident labels."""

import shutil
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray

from wsseg.annotations.constraints import constraints_of
from wsseg.annotations.model import Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labels import read_scores, write_scores
from wsseg.learning.fitting import NetworkTraining, fit
from wsseg.refine import Refine, find_refiner
from wsseg.run.engine import SetAside, map_samples
from wsseg.run.labelling import (
    Facts,
    label_images,
    labelled,
    map_stage,
    samples_key,
)
from wsseg.run.progress import say
from wsseg.run.settings import CAMSettings, Config
from wsseg.run.stage import Run, Stage, fingerprint
from wsseg.seeds.cam import activation_maps, find_activation
from wsseg.seeds.classifier import (
    TrainedClassifier,
    build_classifier,
    check_classifier,
    load_classifier,
    save_classifier,
)
from wsseg.seeds.confident import confident_labels
from wsseg.seeds.named import held_to
from wsseg.seeds.spreading import Spreading, divided, find_spreading
from wsseg.seeds.tag_training import (
    TagBatches,
    average_precision,
    check_targets,
    mean,
    soft_margin,
    tag_targets,
)

_OF_MAPS = {"method", "layer", "scales", "flip", "stride"}


def check_tag_settings(config: Config) -> None:
    """Refuse names that no stage of tags will know, before any work is done.

    Args:
        config: The resolved settings.

    Raises:
        InputError: An unknown method or refiner, a classifier that cannot be built, or weak
            labels that are no tags.
    """
    if config.data.weak == "boxes":
        remedy = "set data.weak=tags, or choose pipeline=boxes"
        raise InputError("data.weak", "tags or boxes_as_tags", "boxes", remedy)
    if find_activation(config.cam.method) is None:
        check_classifier(config.classifier)
    find_refiner(config, config.cam.refiner)


def train_classifier(run: Run, dataset: Dataset) -> Stage | None:
    """Return the stage "classifier": a network trained on the tags of the training images.

    Its manifest holds the average precision of each tag on the validation images, where these
    have tags.

    Args:
        run: The run; ``config.classifier`` says how.
        dataset: Samples with tags.

    Returns:
        The complete stage; its folder holds ``model.ckpt``. None where ``cam.method`` is a
        plug-in, which needs no classifier.

    Raises:
        InputError: No image is tagged, a tag is in every image, or settings break a rule.
        DivergenceError: The loss is NaN or infinite.
    """
    config, settings = run.config, run.config.classifier
    if find_activation(config.cam.method) is not None:
        return None
    tagged = [s for s in dataset.split(config.data.train) if s.tags is not None]
    val = _tagged_val(dataset, config)
    stage = run.stage(
        "classifier",
        samples=samples_key(tagged),
        val=samples_key(val),
        classes=list(dataset.classes),
        weights=fingerprint(Path(settings.weights or "")),
        classifier=settings.model_dump(exclude={"trainer": {"checkpoint_every", "loader_workers"}}),
        seed=config.seed,
    )
    if stage.is_complete:
        say(f"{stage.name}: up to date")
    else:
        with stage.work() as record:
            whole, record["set_aside"] = _whole(tagged, config)
            _train(stage, record, whole, dataset.classes, config)
            record["average_precision"] = _precision(stage, _whole(val, config)[0], config)
            shutil.rmtree(stage.path / "checkpoint", ignore_errors=True)
    _tell_precision(stage)
    return stage


def locate_tags(run: Run, dataset: Dataset, classifier: Stage | None) -> Stage:
    """Return the stage "cams": activation maps of the training images for their tags.

    Args:
        run: The run; ``config.cam`` says how.
        dataset: Samples with tags; an image without has no maps.
        classifier: Of ``train_classifier``.

    Returns:
        The complete stage; ``scores/<id>.npz`` holds the labels and maps of an image.
    """
    config = run.config
    samples = dataset.split(config.data.train)
    stage = run.stage(
        "cams",
        classifier=classifier,
        samples=samples_key(samples),
        classes=list(dataset.classes),
        cam=config.cam.model_dump(include=_OF_MAPS),
    )
    locate = partial(
        _locate, folder=stage.path, classifier=classifier, classes=dataset.classes, config=config
    )
    return map_stage(run, stage, locate, samples, is_whole=partial(_has_scores, stage))


def spread_maps(run: Run, dataset: Dataset, maps: Stage) -> Stage:
    """Return the stage "spread": activation maps that have spread to what looks alike.

    Args:
        run: The run; ``config.cam.affinity`` says along what, and ``walk`` or ``par`` how far.
        dataset: Samples with tags.
        maps: Of ``locate_tags``.

    Returns:
        The complete stage, files as those of ``maps``; ``maps`` itself where the affinity is
        "none".
    """
    config, affinity = run.config, run.config.cam.affinity
    if affinity == "none":
        return maps
    samples = labelled(maps, dataset.split(config.data.train))
    settings = config.par if affinity == "par" else config.walk
    stage = run.stage(
        "spread", maps=maps, samples=samples_key(samples), affinity=affinity, settings=settings
    )
    spread = partial(_spread, folder=stage.path, maps=maps, spreading=find_spreading(config))
    whole = partial(_has_scores, stage)
    before = maps.manifest.get("set_aside")
    return map_stage(run, stage, spread, samples, is_whole=whole, before=before)


def label_by_maps(run: Run, dataset: Dataset, maps: Stage) -> Stage:
    """Return the stage "seeds": first label maps of the training images, from activation maps.

    Args:
        run: The run; ``config.cam`` says how.
        dataset: Samples with tags.
        maps: Of ``locate_tags`` or ``spread_maps``.

    Returns:
        The complete stage.
    """
    config = run.config
    samples = labelled(maps, dataset.split(config.data.train))
    refiner = find_refiner(config, config.cam.refiner)
    stage = run.stage(
        "seeds",
        maps=maps,
        samples=samples_key(samples),
        rule=config.cam.model_dump(exclude={*_OF_MAPS, "affinity"}),
        refiner=refiner.key,
    )
    if not stage.is_complete:
        refiner.prepare()
    label = partial(
        _label,
        maps=maps,
        n_classes=len(dataset.classes),
        settings=config.cam,
        refine=refiner.refine,
    )
    return label_images(run, stage, label, samples, maps.manifest.get("set_aside"))


def scores_path(maps: Stage, sample: Sample) -> Path:
    """Return where a stage of activation maps keeps those of a sample.

    Args:
        maps: Of ``locate_tags`` or ``spread_maps``.
        sample: The image.

    Returns:
        The file.
    """
    return maps.path / "scores" / f"{sample.id}.npz"


def _tagged_val(dataset: Dataset, config: Config) -> list[Sample]:
    if config.data.val is None:
        return []
    return [s for s in dataset.split(config.data.val) if s.tags is not None]


def _whole(samples: Sequence[Sample], config: Config) -> tuple[list[Sample], dict[str, str]]:
    """The images that can be decoded, and what is wrong with the others."""
    results = map_samples(_decoded, samples, config.workers, config.strict)
    bad = {result.id: result.reason for result in results if isinstance(result, SetAside)}
    for identity, reason in sorted(bad.items()):
        say(f"classifier: set aside {identity}: {reason}")
    return [sample for sample in samples if sample.id not in bad], dict(sorted(bad.items()))


def _decoded(sample: Sample) -> None:
    read_image(sample.image)


def _train(
    stage: Stage, record: dict[str, Any], tagged: list[Sample], classes: Classes, config: Config
) -> None:
    if not tagged:
        remedy = "tag some images, or set data.weak"
        raise InputError("training images", "tagged", "no usable image with tags", remedy)
    settings = config.classifier
    for name in check_targets(tag_targets(tagged, classes), classes):
        say(f"{stage.name}: no training image has the tag {name!r}; it will not be learnt")
    lightning.seed_everything(config.seed, verbose=False)
    network = build_classifier(settings, len(classes) - 1)
    training = NetworkTraining(
        network,
        settings.trainer,
        soft_margin,
        seed=config.seed,
        freeze_batch_norm=settings.freeze_batch_norm,
    )
    batches = TagBatches(tagged, classes, settings, config.seed)
    record["loss"] = fit(training, batches, stage.path, stage.name)
    save_classifier(stage.path / "model.ckpt", network, classes, settings)


def _precision(stage: Stage, val: list[Sample], config: Config) -> dict[str, float]:
    if not val:
        return {}
    accelerator = config.classifier.trainer.accelerator
    classifier = load_classifier(stage.path / "model.ckpt", accelerator)
    scores = [torch.from_numpy(classifier.scores(read_image(s.image))) for s in val]
    classes = classifier.classes
    return average_precision(torch.stack(scores), tag_targets(val, classes), classes)


def _tell_precision(stage: Stage) -> None:
    found = stage.manifest["average_precision"]
    if found:
        worst = min(found, key=lambda name: found[name])
        about = f"worst {worst!r} {found[worst]:.3f}"
        say(f"{stage.name}: mean average precision {mean(found.values()):.3f}, {about}")


def _locate(
    sample: Sample, folder: Path, classifier: Stage | None, classes: Classes, config: Config
) -> tuple[str, list[dict[str, Any]]]:
    labels = sample.tags.present if sample.tags else ()
    image = read_image(sample.image)
    if classifier is None:
        maps = _of_plugin(image, labels, classes, config.cam)
    else:
        accelerator = config.classifier.trainer.accelerator
        loaded = _loaded(classifier.path, classifier.key, accelerator)
        (maps,) = activation_maps(loaded, [image], [labels], config.cam)
    write_scores(folder / "scores" / f"{sample.id}.npz", labels, maps)
    return sample.id, [{"id": sample.id, "class": label} for label in labels]


def _of_plugin(
    image: NDArray[np.uint8], labels: tuple[int, ...], classes: Classes, settings: CAMSettings
) -> NDArray[np.float32]:
    activation = find_activation(settings.method)
    if activation is None:
        raise TypeError(f"{settings.method} needs a classifier")
    maps = activation(image, labels, classes, settings)
    fits = maps.ndim == 3 and len(maps) == len(labels) and maps.dtype.kind == "f"
    if not fits or not np.isfinite(maps).all() or (maps < 0).any():
        got, remedy = f"{maps.dtype} of shape {maps.shape}", "correct the plug-in"
        rule = f"({len(labels)}, h, w), finite and at least 0"
        raise InputError(f"activation maps of {settings.method!r}", rule, got, remedy)
    return divided(maps)


def _spread(
    sample: Sample, folder: Path, maps: Stage, spreading: Spreading
) -> tuple[str, list[dict[str, Any]]]:
    labels, scores = read_scores(scores_path(maps, sample))
    found = spreading(read_image(sample.image), scores)
    write_scores(folder / "scores" / f"{sample.id}.npz", labels.tolist(), found)
    return sample.id, [{"id": sample.id, "class": int(label)} for label in labels]


def _label(
    sample: Sample, maps: Stage, n_classes: int, settings: CAMSettings, refine: Refine
) -> tuple[NDArray[np.uint8], Facts]:
    constraints = constraints_of(sample, n_classes)
    labels, scores = read_scores(scores_path(maps, sample))
    image = read_image(sample.image)
    found = confident_labels(image, scores, labels, constraints, settings, refine)
    return held_to(constraints, found), {}


def _has_scores(stage: Stage, identity: str) -> bool:
    try:
        read_scores(stage.path / "scores" / f"{identity}.npz")
    except InputError:
        return False
    return True


@lru_cache(maxsize=1)
def _loaded(folder: Path, key: str, accelerator: str) -> TrainedClassifier:  # noqa: ARG001 - see below
    # The key is there for the cache: a folder with a new key holds a new network.
    return load_classifier(folder / "model.ckpt", accelerator)
