"""An audit of a run on disk: what it finds, writes, keeps, refuses and resumes."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.audited import (
    CLASSES,
    NAMES,
    OBJECT,
    Reader,
    audited,
    make_run,
    mark,
    painted,
    reader,
    write_images,
)
from helpers.running import working, wsseg

from wsseg.data.load import read_weak
from wsseg.errors import InputError
from wsseg.networks import prediction
from wsseg.networks.checkpoints import write_checkpoint
from wsseg.runs.config import load_config
from wsseg.runs.folder import exclusive_folder
from wsseg.runs.run import open_run
from wsseg.seeds.params import SeedParams
from wsseg.stages.audit import audit as module
from wsseg.stages.audit.audit import audit_run
from wsseg.stages.audit.params import AuditParams
from wsseg.stages.rounds import seed_labels

EXPECTED = {
    ("mixed", "mixed-up class", NAMES[1], NAMES[2]),
    ("missing", "missing object", NAMES[0], NAMES[3]),
    ("absent", "no such object", NAMES[1], None),
    ("misfit", "box fits badly", NAMES[2], NAMES[2]),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "load_segmenter", reader)
    return audited(tmp_path)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def found_in(out):
    findings = json.loads((out / "findings.json").read_text())["findings"]
    return {(f["image"], f["kind"], f["annotated"], f["suggested"]) for f in findings}


def test_every_kind_of_planted_error_is_found_and_nothing_else(run):
    before = contents(run)
    audit = audit_run(run)
    assert found_in(run / "audit") == EXPECTED
    assert len(audit.findings) == 4
    scores = [finding.score for finding in audit.findings]
    assert scores == sorted(scores, reverse=True)
    after = contents(run)
    assert before == {path: after[path] for path in before}
    assert {path.relative_to(run).parts[0] for path in after.keys() - before.keys()} == {"audit"}


def test_findings_are_written_as_a_table_and_with_masks(run):
    audit = audit_run(run)
    table = pd.read_csv(run / "audit" / "findings.csv")
    assert list(table["score"]) == sorted(table["score"], reverse=True)
    misfit = table[table["kind"] == "box fits badly"].iloc[0]
    assert tuple(misfit[["new_x0", "new_y0", "new_x1", "new_y1"]].astype(int)) == OBJECT
    (missing,) = [f for f in audit.findings if f.kind == "missing object"]
    assert np.array_equal(missing.mask, painted((3, 60, 5, 78, 25)) > 0)
    kept = json.loads((run / "audit" / "findings.json").read_text())
    assert kept["network"] == "round-2" and kept["images"] == 8
    assert [f["mask"] is None for f in kept["findings"]] == [not f.rle for f in audit.findings]


def test_a_stage_is_chosen_and_the_last_is_the_default(run, tmp_path, monkeypatch):
    looked = []

    def noted(path, *more):
        looked.append(path.parts[-3])
        return reader(path, *more)

    monkeypatch.setattr(prediction, "load_segmenter", noted)
    assert audit_run(run, AuditParams(stage="round-1"), tmp_path / "one").network == "round-1"
    assert audit_run(run, out=tmp_path / "two").network == "round-2"
    assert looked == ["round-1", "round-2"]


def test_evidence_is_kept_until_something_changes(run, monkeypatch):
    seen = []
    once = module.collect_evidence
    monkeypatch.setattr(
        module, "collect_evidence", lambda *pair: [seen.append(pair[0].sample.id), once(*pair)][1]
    )
    first = audit_run(run)
    assert len(seen) == 8
    assert audit_run(run).findings == first.findings
    assert len(audit_run(run, AuditParams(min_score=0.9)).findings) < 4
    assert len(seen) == 8
    audit_run(run, AuditParams(stage="round-1"))
    assert len(seen) == 16


def test_an_interrupted_audit_goes_on(run, monkeypatch):
    seen, once = [], module.collect_evidence

    def interrupted(example, scores):
        seen.append(example.sample.id)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return once(example, scores)

    monkeypatch.setattr(module, "collect_evidence", interrupted)
    with pytest.raises(KeyboardInterrupt):
        audit_run(run)
    assert not (run / "audit" / "findings.json").exists()
    audit_run(run)
    assert sorted(seen[:3] + seen[4:]) == sorted({*seen})
    assert found_in(run / "audit") == EXPECTED


def test_bad_images_are_skipped_and_the_others_audited(run, tmp_path):
    (tmp_path / "data" / "images" / "misfit.png").write_bytes(b"no image")
    (tmp_path / "data" / "images" / "mixed.png").unlink()
    audit = audit_run(run)
    assert {f.id for f in audit.findings} == {"missing", "absent"}
    assert any("misfit" in id for id in audit.skipped)
    assert wsseg("audit", run) == 0
    page = (run / "audit" / "index.html").read_text()
    assert "Skipped images" in page and "misfit" in page


def test_one_image_and_a_box_of_one_pixel(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "load_segmenter", reader)
    pages = {"a": (painted((2, *OBJECT)), [mark(2, OBJECT), mark(1, (3, 3, 4, 4))])}
    run = make_run(tmp_path / "run", write_images(tmp_path / "data", pages))
    audit = audit_run(run, AuditParams(min_score=0))
    assert {(f.kind, f.place) for f in audit.findings} == {("no such object", (3, 3, 4, 4))}


def test_without_findings_there_is_a_page_too(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "load_segmenter", reader)
    pages = {"a": (painted((2, *OBJECT)), [mark(2, OBJECT)])}
    run = make_run(tmp_path / "run", write_images(tmp_path / "data", pages))
    assert wsseg("audit", run) == 0
    assert "no annotation looks wrong" in (run / "audit" / "index.html").read_text()
    assert pd.read_csv(run / "audit" / "findings.csv").empty


def test_what_cannot_be_audited_is_an_error(run, tmp_path):
    with pytest.raises(
        InputError,
        match=r"stage round-9 of .* has no finished network; choose one of round-1, round-2",
    ):
        audit_run(run, AuditParams(stage="round-9"))
    with pytest.raises(InputError, match=r"has no annotations of data.weak=none"):
        audit_run(run, AuditParams(weak="none"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"must be new, empty or an audit, got other files"):
        audit_run(run, out=tmp_path / "mine")
    with pytest.raises(InputError, match=r"a folder, got a file"):
        audit_run(run, out=tmp_path / "mine" / "thesis.txt")
    with pytest.raises(InputError, match=r"new, empty or an audit"):
        audit_run(run, out=run)
    for number in (1, 2):
        (run / f"round-{number}" / "model" / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"no finished network; run it to its end"):
        audit_run(run)


def test_a_data_set_that_is_gone_or_another_is_an_error(run, tmp_path):
    content = {"kind": "segmenter", "classes": ["background", "other"]}
    write_checkpoint(run / "round-2" / "model" / "model.ckpt", content)
    with pytest.raises(InputError, match=r"trained on the classes .*, got background, other"):
        audit_run(run)
    (tmp_path / "data").rename(tmp_path / "moved")
    assert wsseg("audit", run) == 2


def test_two_audits_do_not_share_a_folder(run):
    at_work = pytest.raises(InputError, match="in use by another process")
    with exclusive_folder(run / "audit", "--out", "audit.json", "an audit"), at_work:
        audit_run(run)


def test_folds_are_networks_of_the_runs_own_making(run, model_settings, trainer_settings):
    """Two real trainings of two steps; another call trains nothing and changes nothing."""
    config = load_config(run / "config.yaml").model_copy(
        update={
            "seeds": SeedParams(name="box"),
            "model": model_settings,
            "trainer": trainer_settings.model_copy(update={"steps": 2}),
        }
    )
    with open_run(config) as opened:
        seed_labels(opened, read_weak(config.data))
    audit = audit_run(run, AuditParams(folds=2))
    assert audit.network == "2 folds" and found_in(run / "audit") == EXPECTED
    models = sorted((run / "audit").glob("fold-*-of-2/round-1/model/model.ckpt"))
    one, two = (torch.load(path, weights_only=True)["state_dict"] for path in models)
    assert any(not torch.equal(one[name], two[name]) for name in one)
    before = contents(run / "audit")
    audit_run(run, AuditParams(folds=2))
    assert contents(run / "audit") == before
    with pytest.raises(InputError, match=r"folds must be at most 8"):
        audit_run(run, AuditParams(folds=9))


@pytest.fixture
def taught(run, monkeypatch):
    """The images that each network of a fold was trained on; none is really trained."""
    images = []

    def noted(of_fold, dataset, labels, _):
        images.append({sample.id for sample in dataset.samples})
        stage = of_fold.stage("round-1/model", labels=labels)
        with working(stage):
            (stage.path / "model.ckpt").write_bytes(b"a network")
        return stage

    with open_run(load_config(run / "config.yaml")) as opened, working(opened.stage("seeds")):
        pass
    monkeypatch.setattr("wsseg.stages.audit.networks.train_segmenter", noted)
    return images


def test_folds_train_on_every_other_image_once(run, taught):
    audit_run(run, AuditParams(folds=3))
    everything = set().union(*taught)
    assert len(taught) == 3 and len(everything) == 8
    held_out = [everything - images for images in taught]
    assert sorted(map(len, held_out)) == [2, 3, 3]
    assert set().union(*held_out) == everything
    assert found_in(run / "audit") == EXPECTED


@pytest.mark.usefixtures("taught")
def test_the_runs_own_network_has_a_quarter_of_the_vote(run, monkeypatch):
    class Sure(Reader):
        def predict(self, image, _):
            return np.stack([np.full(image.shape[:2], p, np.float32) for p in self.params])

    def load(path, *_):
        is_fold = "fold-" in str(path)
        return Sure(None, CLASSES, (0.2, 0.6, 0.2, 0.0) if is_fold else (0.8, 0.0, 0.0, 0.2))

    monkeypatch.setattr(prediction, "load_segmenter", load)
    audit_run(run, AuditParams(folds=2))
    table = pd.read_parquet(run / "audit" / "evidence" / "stats.parquet")
    for means in table["means"]:
        assert means == pytest.approx([0.35, 0.45, 0.15, 0.05], abs=1e-4)
