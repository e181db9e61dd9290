"""An audit of a run: its last network looks at the training images without their annotations."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from wsseg.data.example import read_sample_image
from wsseg.data.load import read_weak
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.files import write_json, write_text
from wsseg.networks.prediction import check_classes, kept_segmenter
from wsseg.runs.config import Config, load_config
from wsseg.runs.engine import announce
from wsseg.runs.folder import alone_in
from wsseg.runs.labelling import map_stage, samples_key
from wsseg.runs.stage import Run, Stage
from wsseg.runs.stats import read_stats
from wsseg.stages.audit.collect import evidence_of
from wsseg.stages.audit.evidence import Evidence
from wsseg.stages.audit.finding import Audit, row_of
from wsseg.stages.audit.networks import Network, network_of, networks_of_folds
from wsseg.stages.audit.ranking import rank

GIVEN = ("boxes", "tags", "boxes_as_tags", "all", "masks", "none")
"""What of the data set can be audited: the values of ``data.weak``."""

Networks = tuple[Network] | tuple[Network, Network]
"""Those that look at an image: the run's own, or one that has not seen it and the run's own."""

_OWN = 0.25  # vote of the run's own network beside one that has not seen the image
_ABOUT = "audit.json"


def audit_run(
    run: Path,
    out: Path | None = None,
    *,
    stage: str | None = None,
    folds: int | None = None,
    given: str | None = None,
    least: float = 0.2,
    workers: int | None = None,
) -> Audit:
    """Find where the given labels of a run's training images look wrong to its network.

    The network predicts each image as it is: annotations hold nothing back. It learned these very
    labels and has memorised many of their errors. With ``folds`` each image is judged by a network
    that has not seen its labels, beside which the run's own has a quarter of the vote: that finds
    far more, and takes as many trainings.

    What was seen is kept in ``out/evidence``, so that the same call goes on where it was
    interrupted and costs little once it was complete; nothing else in the run changes.

    Args:
        run: The run's folder; its data set must still be where it was.
        out: Where ``findings.csv``, ``findings.json`` and the evidence go; None is ``run/audit``.
        stage: Whose network looks, such as "round-1"; None is the last complete round.
        folds: Networks to train for the audit, 2 or more, each without a part of the images;
            None is the run's own network, at no training.
        given: What is audited, one of ``GIVEN``, with ``data.annotations`` laid over it; None is
            what the run learned from.
        least: Findings with a lower score are left out, 0..1.
        workers: Processes; None is what the run was set to.

    Returns:
        The findings, the worst first.

    Raises:
        InputError: There is no such run or stage, it has no finished network, the folder holds
            something else, the data set is gone or has other classes, or nothing was given.
    """
    if not 0 <= least <= 1:
        raise InputError("--least", "from 0 to 1", least, "choose a score")
    config = _config(run, given, workers)
    name, network = network_of(run, config, stage)
    dataset = read_weak(config.data)
    announce([problem for problem in dataset.problems if problem.fatal], strict=False)
    samples = _given_samples(dataset, config)
    check_classes(f"run {run}", network.folder / "model.ckpt", dataset.classes)
    about = {"run": str(run), "network": f"{folds} folds" if folds else name}
    folder = out or run / "audit"
    with alone_in(folder, "--out", _ABOUT, "an audit"):
        write_json(folder / _ABOUT, about)
        networks: dict[str, Networks] = {sample.id: (network,) for sample in samples}
        if folds is not None:
            unbiased = networks_of_folds(run, folder, config, dataset, samples, folds)
            networks = {id: (unbiased[id], network) for id in networks}
        looked = _look(Run(folder, config), networks, samples, dataset.classes)
        lost = {problem.subject: problem.message for problem in dataset.problems if problem.fatal}
        audit = Audit(
            run=run,
            network=about["network"],
            out=folder,
            classes=dataset.classes,
            samples={sample.id: sample for sample in samples},
            findings=rank(_read_evidence(looked), dataset.classes, least),
            set_aside={**lost, **looked.manifest["set_aside"]},
        )
        _write(audit)
    return audit


def _config(run: Path, given: str | None, workers: int | None) -> Config:
    config = load_config(run / "config.yaml")
    if given is None and Path(config.pipeline).stem == "full":
        given = "masks"  # what the upper bound learns from, whatever its settings read besides
    if given not in {None, *GIVEN}:
        raise InputError("--given", f"one of {', '.join(GIVEN)}", repr(given), "choose one of them")
    data = config.data.model_copy(update={"weak": given or config.data.weak})
    machine = config.machine.model_copy(update={"workers": workers or config.machine.workers})
    return config.model_copy(update={"data": data, "machine": machine})


def _given_samples(dataset: Dataset, config: Config) -> list[Sample]:
    samples = dataset.split(config.data.train)
    given = [sample for sample in samples if sample.annotations]
    if not given:
        subject = f"split {config.data.train!r} of {config.data.root}"
        got = f"none (data.weak={config.data.weak})"
        remedy = f"name what is to be audited with --given {'|'.join(GIVEN[:-1])}"
        raise InputError(subject, "one with given labels", got, remedy)
    return given


def _look(
    run: Run, networks: Mapping[str, Networks], samples: Sequence[Sample], classes: Classes
) -> Stage:
    by_network = sorted(samples, key=lambda sample: networks[sample.id][0].key)  # load each once
    stage = run.stage(
        "evidence",
        networks=[[network.key for network in networks[sample.id]] for sample in by_network],
        samples=samples_key(by_network),
        classes=list(classes),
        prediction=run.config.prediction,
    )
    work = partial(_seen, config=run.config, networks=networks)
    return map_stage(run, stage, work, by_network)


def _seen(
    sample: Sample, config: Config, networks: Mapping[str, Networks]
) -> tuple[str, list[dict[str, Any]]]:
    image = read_sample_image(sample)
    device = config.machine.device
    looking = [
        kept_segmenter(network.folder / "model.ckpt", network.key, device)
        for network in networks[sample.id]
    ]
    scores = looking[0].predict(image, config.prediction)
    for own in looking[1:]:
        scores = (1 - _OWN) * scores + _OWN * own.predict(image, config.prediction)
    return sample.id, [asdict(item) for item in evidence_of(sample, scores)]


def _read_evidence(stage: Stage) -> list[Evidence]:
    rows = read_stats(stage.path).to_pylist()
    return [Evidence(**{key: _frozen(value) for key, value in row.items()}) for row in rows]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _write(audit: Audit) -> None:
    rows = [row_of(finding, audit.classes) for finding in audit.findings]
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["image", "kind", "score"])
    table = table.convert_dtypes()  # corners stay whole numbers where some rows have none
    write_text(audit.out / "findings.csv", table.to_csv(index=False))
    masks = [{"size": f.size, "counts": f.counts} if f.counts else None for f in audit.findings]
    content = {
        "run": str(audit.run),
        "network": audit.network,
        "classes": list(audit.classes),
        "images": len(audit.samples),
        "set_aside": dict(audit.set_aside),
        "findings": [{**row, "mask": mask} for row, mask in zip(rows, masks, strict=True)],
    }
    write_json(audit.out / "findings.json", content)
