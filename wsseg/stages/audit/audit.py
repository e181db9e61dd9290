"""Audit a run: compare annotations with the predictions of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from wsseg.data.example import example_of
from wsseg.data.load import read_weak
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.files import write_json, write_text
from wsseg.networks.prediction import check_classes, load_segmenter_cached
from wsseg.runs.config import Config
from wsseg.runs.engine import report_problems
from wsseg.runs.folder import exclusive_folder
from wsseg.runs.labelling import map_stage, samples_key
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.runs.stats import read_stats
from wsseg.stages.audit.evidence import collect_evidence
from wsseg.stages.audit.finding import Audit, table_row
from wsseg.stages.audit.networks import Network, find_network, train_fold_networks
from wsseg.stages.audit.params import AuditParams
from wsseg.stages.audit.ranking import rank
from wsseg.stages.audit.regions import Evidence

Networks = tuple[Network] | tuple[Network, Network]
"""The networks that predict an image: that of the run, or that of a fold and that of the run."""

_RUN_WEIGHT = 0.25  # of the scores of the run's network beside the network of a fold
_RECORD = "audit.json"


def audit_run(run: Path, params: AuditParams | None = None, out: Path | None = None) -> Audit:
    """Find annotations of the training images of a run that look wrong.

    A network predicts each image without its annotations. The network of the run has learned from
    these very annotations and memorised many of their errors. With ``folds``, each image is
    predicted by a network that has not learned from it, combined with the run's network at a
    weight of 0.25; this finds far more errors, at the cost of that many trainings.

    The evidence is stored in ``out/evidence``, so an interrupted audit continues, and the same
    audit with another ``min_score`` is cheap. Nothing else in the run changes.

    Args:
        run: The folder of the run; its data set must still exist.
        params: None for the defaults.
        out: The folder for ``findings.csv``, ``findings.json`` and the evidence; None is
            ``run/audit``.

    Raises:
        InputError: There is no such run or stage, it has no finished network, ``out`` holds other
            files, or the data set is missing, has other classes, or has no annotations.
    """
    params = params or AuditParams()
    config = _config(run, params)
    name, network = find_network(run, config, params.stage)
    dataset = read_weak(config.data)
    fatal = [problem for problem in dataset.problems if problem.fatal]
    report_problems(fatal, strict=False)
    samples = _annotated_samples(dataset, config)
    check_classes(f"run {run}", network.folder / "model.ckpt", dataset.classes)
    record = {"run": str(run), "network": f"{params.folds} folds" if params.folds else name}
    folder = out or run / "audit"
    with exclusive_folder(folder, "--out", _RECORD, "an audit"):
        write_json(folder / _RECORD, record)
        networks: dict[str, Networks] = {sample.id: (network,) for sample in samples}
        if params.folds is not None:
            folds = train_fold_networks(run, folder, config, dataset, samples, params.folds)
            networks = {id: (folds[id], network) for id in networks}
        evidence = _collect(Run(folder, config), networks, samples, dataset.classes)
        audit = Audit(
            run=run,
            network=record["network"],
            out=folder,
            classes=dataset.classes,
            samples={sample.id: sample for sample in samples},
            findings=rank(_read_evidence(evidence), dataset.classes, params.min_score),
            skipped={
                **{problem.subject: problem.message for problem in fatal},
                **evidence.skipped,
            },
        )
        _write(audit)
    return audit


def _config(run: Path, params: AuditParams) -> Config:
    config = Run(run).config
    weak = params.weak or config.data.weak
    if params.weak is None and Path(config.pipeline).stem == "full":
        weak = "masks"  # what the upper bound learns from, whatever else its settings read
    data = config.data.model_copy(update={"weak": weak})
    workers = params.workers or config.machine.workers
    machine = config.machine.model_copy(update={"workers": workers})
    return config.model_copy(update={"data": data, "machine": machine})


def _annotated_samples(dataset: Dataset, config: Config) -> list[Sample]:
    samples = [s for s in dataset.split(config.data.train) if s.annotations]
    if not samples:
        data = config.data
        message = f"split {data.train!r} of {data.root} has no annotations of data.weak={data.weak}"
        raise InputError(message, hint="choose the annotations with --weak boxes|tags|masks|all")
    return samples


def _collect(
    run: Run, networks: Mapping[str, Networks], samples: Sequence[Sample], classes: Classes
) -> Stage:
    # Images of the same network follow one another, so that each network is loaded once.
    samples = sorted(samples, key=lambda sample: networks[sample.id][0].key)
    stage = run.stage(
        "evidence",
        networks=[[network.key for network in networks[sample.id]] for sample in samples],
        samples=samples_key(samples),
        classes=list(classes),
        prediction=run.config.prediction,
    )
    work = partial(_evidence_rows, config=run.config, networks=networks)
    return map_stage(run, stage, work, samples)


def _evidence_rows(
    sample: Sample, config: Config, networks: Mapping[str, Networks]
) -> tuple[str, list[dict[str, Any]]]:
    first, *rest = (
        load_segmenter_cached(network.folder / "model.ckpt", network.key, config.machine.device)
        for network in networks[sample.id]
    )
    example = example_of(sample, len(first.classes))
    scores = first.predict(example.image, config.prediction)
    for segmenter in rest:
        other = segmenter.predict(example.image, config.prediction)
        scores = (1 - _RUN_WEIGHT) * scores + _RUN_WEIGHT * other
    return sample.id, [asdict(item) for item in collect_evidence(example, scores)]


def _read_evidence(stage: Stage) -> list[Evidence]:
    def tuples(row: dict[str, Any]) -> dict[str, Any]:
        return {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}

    return [Evidence(**tuples(row)) for row in read_stats(stage.path).to_pylist()]


def _write(audit: Audit) -> None:
    rows = [table_row(finding, audit.classes) for finding in audit.findings]
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["image", "kind", "score"])
    table = table.convert_dtypes()  # keeps corners integers if some rows have none
    write_text(audit.out / "findings.csv", table.to_csv(index=False))
    masks = [{"size": f.size, "counts": f.rle} if f.rle else None for f in audit.findings]
    content = {
        "run": str(audit.run),
        "network": audit.network,
        "classes": list(audit.classes),
        "images": len(audit.samples),
        "skipped": dict(audit.skipped),
        "findings": [{**row, "mask": mask} for row, mask in zip(rows, masks, strict=True)],
    }
    write_json(audit.out / "findings.json", content)
