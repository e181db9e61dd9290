"""Findings go to CVAT, a person accepts or deletes them there, and wsseg reads what is left."""

from collections import Counter
from xml.etree.ElementTree import parse

import numpy as np
import pytest
from helpers.audited import CLASSES, NAMES, OBJECT, SIZE, audited, box, painted, reader, sample_of
from helpers.running import wsseg
from PIL import Image

from wsseg.data.annotation import Boxes, MaskFile, Regions, Tags
from wsseg.data.constraints import constraints_of, label_map_of
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import write_label_map
from wsseg.networks import prediction
from wsseg.stages.audit.audit import audit_run
from wsseg.stages.audit.cvat import export_findings
from wsseg.stages.audit.finding import Audit, Finding
from wsseg.stages.audit.params import AuditParams
from wsseg.stages.audit.regions import encode_rle


@pytest.fixture
def audit(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "load_segmenter", reader)
    return audit_run(audited(tmp_path))


def data(folder, **more):
    return DataParams(format="jsonl", root=folder / "data", weak="all", val=None, **more)


def drawn(dataset):
    return {sample.id: sample.annotations for sample in dataset.samples}


def edited(path, change):
    """The file after a person changed the shapes of its images."""
    tree = parse(path)
    for image in tree.getroot().findall("image"):
        change(image)
    tree.write(path)


def is_suggestion(shape):
    return any(a.get("name") == "suggestion" and a.text == "true" for a in shape)


def refused(image):
    for shape in [shape for shape in image if is_suggestion(shape)]:
        image.remove(shape)


def accepted(image):
    """Suggestions are ticked off, and the annotation that looks wrong is deleted."""
    for shape in list(image):
        if is_suggestion(shape):
            shape.find("attribute[@name='suggestion']").text = "false"
        elif shape.find("attribute[@name='doubt']") is not None:
            image.remove(shape)


def as_they_are(_):
    pass


@pytest.mark.parametrize("change", [as_they_are, refused])
def test_suggestions_that_nobody_accepted_change_nothing(audit, tmp_path, change):
    assert export_findings(audit, tmp_path / "out") == 4
    edited(tmp_path / "out" / "annotations.xml", change)
    dataset = read_dataset(tmp_path / "out", "cvat", use="all")
    annotated = drawn(read_weak(data(tmp_path)))
    assert dataset.classes == CLASSES
    assert drawn(dataset) == {id: annotated[id] for id in ("mixed", "missing", "absent", "misfit")}
    kinds = Counter(problem.kind for problem in dataset.problems)
    assert kinds == ({"suggestion that nobody accepted": 3} if change is as_they_are else {})


def test_accepted_suggestions_replace_annotations(audit, tmp_path):
    export_findings(audit, tmp_path / "out")
    edited(tmp_path / "out" / "annotations.xml", accepted)
    corrected = tmp_path / "out" / "annotations.xml"
    found = drawn(read_weak(data(tmp_path, corrections=(corrected,))))
    right = (Boxes((box(2, OBJECT),)),)
    assert found["mixed"] == found["absent"] == found["misfit"] == right
    assert found["missing"] == (Boxes((box(2, OBJECT), box(3, (60, 5, 78, 25)))),)
    assert found["right-3"] == (Boxes((box(3, OBJECT),)),)


def test_corrections_of_another_size_replace_nothing(audit, tmp_path):
    export_findings(audit, tmp_path / "out")
    edited(tmp_path / "out" / "annotations.xml", lambda image: image.set("width", "81"))
    path = tmp_path / "out" / "annotations.xml"
    dataset = read_weak(data(tmp_path, corrections=(path,)))
    assert drawn(dataset) == drawn(read_weak(data(tmp_path)))
    assert any("marks of another size" in problem.kind for problem in dataset.problems)


def test_corrections_laid_over_only_add(audit, tmp_path):
    export_findings(audit, tmp_path / "out")
    edited(tmp_path / "out" / "annotations.xml", accepted)
    path = tmp_path / "out" / "annotations.xml"
    found = drawn(read_weak(data(tmp_path, annotations=(path,))))
    assert found["mixed"] == (Boxes((box(1, OBJECT), box(2, OBJECT))),)


def test_the_worst_are_exported_and_say_why(audit, tmp_path):
    worst = audit.findings[0]
    assert export_findings(audit, tmp_path / "out", AuditParams(limit=1, images="none")) == 1
    root = parse(tmp_path / "out" / "annotations.xml").getroot()
    (image,) = root.findall("image")
    assert image.get("name") == f"{worst.id}.png"
    assert {a.text for a in image.iter("attribute") if a.get("name") == "doubt"} == {worst.sentence}
    declared = {a.findtext("name"): a.findtext("input_type") for a in root.iter("attribute")}
    assert declared.items() >= {"suggestion": "checkbox", "doubt": "text"}.items()
    assert not (tmp_path / "out" / "images").exists()


def made(sample, finding, tmp_path):
    path = tmp_path / f"{sample.id}.png"
    Image.fromarray(painted()).save(path)
    sample = type(sample)(sample.id, path, SIZE, sample.annotations, "train")
    return Audit(tmp_path, "round-1", tmp_path, CLASSES, {sample.id: sample}, (finding,), {})


def finding(source, suggested=2, *, kind="missing object", annotated=0, place=OBJECT):
    mask = encode_rle(painted((2, *place)) > 0) if suggested is not None else ""
    suggestion = place if suggested is not None else None
    return Finding(
        "a", kind, source, annotated, suggested, place, 0.9, "Look.", suggestion, mask, SIZE
    )


def test_of_a_mask_an_accepted_part_is_drawn_over_it(tmp_path):
    write_label_map(tmp_path / "mask.png", painted((1, *OBJECT)))
    part = (25, 20, 35, 40)
    wrong = finding("mask", kind="mixed-up class", annotated=1, place=part)
    audit = made(sample_of(MaskFile(tmp_path / "mask.png")), wrong, tmp_path)
    export_findings(audit, tmp_path / "out")
    before = read_dataset(tmp_path / "out", "cvat", use="all").samples[0].annotations[0]
    assert np.array_equal(label_map_of(before, SIZE, 4), painted((1, *OBJECT)))
    edited(tmp_path / "out" / "annotations.xml", accepted)
    after = read_dataset(tmp_path / "out", "cvat", use="all").samples[0].annotations[0]
    assert isinstance(after, Regions)
    assert np.array_equal(label_map_of(after, SIZE, 4), painted((1, *OBJECT), (2, *part)))


def test_of_tags_a_tag_is_suggested(tmp_path):
    audit = made(sample_of(Tags((1,))), finding("image"), tmp_path)
    export_findings(audit, tmp_path / "out")
    (sample,) = read_dataset(tmp_path / "out", "cvat", use="all").samples
    assert sample.annotations == (Tags((1,)),)
    edited(tmp_path / "out" / "annotations.xml", accepted)
    (sample,) = read_dataset(tmp_path / "out", "cvat", use="all").samples
    assert sample.annotations == (Tags((1, 2)),)


def test_strokes_keep_their_width_and_a_missing_object_comes_as_pixels(tmp_path):
    strokes = Strokes((Scribble(1, ((5.0, 5.0), (9.5, 7.25)), 3), Scribble(0, ((70.0, 50.0),))))
    audit = made(sample_of(strokes), finding("image"), tmp_path)
    export_findings(audit, tmp_path / "out")
    (sample,) = read_dataset(tmp_path / "out", "cvat", use="all").samples
    assert sample.annotations == (strokes,)
    edited(tmp_path / "out" / "annotations.xml", accepted)
    (sample,) = read_dataset(tmp_path / "out", "cvat", use="all").samples
    known = constraints_of(sample, 4).known
    assert (known[15:45, 20:50] == 2).all()


@pytest.mark.parametrize("empty", [Boxes(()), Tags(())])
def test_that_an_image_shows_nothing_comes_back(empty, tmp_path):
    audit = made(sample_of(empty), finding("image"), tmp_path)
    export_findings(audit, tmp_path / "out")
    (sample,) = read_dataset(tmp_path / "out", "cvat", use="all").samples
    assert sample.annotations == (Tags(()),)


def test_when_the_only_box_is_refused_the_image_shows_nothing(tmp_path):
    absent = finding("box", None, kind="no such object", annotated=1)
    audit = made(sample_of(Boxes((box(1, OBJECT),))), absent, tmp_path)
    export_findings(audit, tmp_path / "out")
    assert read_dataset(tmp_path / "out", "cvat", use="all").samples[0].boxes
    edited(tmp_path / "out" / "annotations.xml", accepted)
    (sample,) = read_dataset(tmp_path / "out", "cvat", use="all").samples
    assert sample.annotations == (Tags(()),)


def test_what_cannot_be_exported_is_an_error(audit, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "corrected.xml").write_text("<annotations/>")
    assert wsseg("audit", audit.run, "--to", "cvat", tmp_path / "mine") == 2
    assert wsseg("audit", audit.run, "--to", "paper", tmp_path / "new") == 2
    assert wsseg("audit", audit.run, "--to", "cvat", tmp_path / "new", "--images", "all") == 2
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match=r"has no findings to export; lower --min-score"):
        export_findings(audit_run(audit.run, AuditParams(min_score=1)), tmp_path / "new")
    assert wsseg("audit", audit.run, "--to", "cvat", tmp_path / "new", "--images", "link") == 0
    assert (tmp_path / "new" / "images" / "mixed.png").samefile(
        tmp_path / "data" / "images" / "mixed.png"
    )
    assert NAMES[2] in (tmp_path / "new" / "annotations.xml").read_text().replace(
        "&lt;", "<"
    ).replace("&gt;", ">")
