"""Export findings to CVAT: the annotations together with suggestions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from wsseg.data.annotation import Boxes, MaskFile, Regions
from wsseg.data.formats.paths import safe_name
from wsseg.data.model import Classes, Sample
from wsseg.data.writers.cvat import (
    box_shape,
    mask_shapes,
    shapes_of,
    tag_shape,
    with_attributes,
    write_shapes,
)
from wsseg.errors import InputError
from wsseg.runs.progress import log
from wsseg.stages.audit.finding import Audit, Finding, Place
from wsseg.stages.audit.params import AuditParams
from wsseg.stages.export import check_new, new_folder, put_image

ATTRIBUTES = {"suggestion": "checkbox", "doubt": "text"}
"""Attributes of every label: whether a shape is only a suggestion, and the explanation of a
suggestion or of an annotation that looks wrong."""


def check_export(to: str, out: Path) -> None:
    """Raise an ``InputError`` unless ``to`` is "cvat" and ``out`` is a new or empty folder."""
    if to != "cvat":
        raise InputError("--to", "cvat and a folder", repr(to), "write --to cvat FOLDER")
    check_new(out)


def export_findings(audit: Audit, out: Path, params: AuditParams | None = None) -> int:
    """Write the images of the worst findings for CVAT, with annotations and suggestions.

    Suggestions are shapes and tags whose attribute "suggestion" is true. A person accepts one by
    clearing the attribute and deleting the annotation that it replaces, and rejects it by deleting
    it. wsseg ignores the remaining suggestions when it reads the file. Annotations that look wrong
    have an explanation in the attribute "doubt".

    The folder is created complete or not at all.

    Args:
        out: A new or empty folder.
        params: ``limit`` and ``images`` apply; None for the defaults.

    Returns:
        The number of images.

    Raises:
        InputError: There are no findings, the folder is not empty, an image is missing, or an
            annotation type comes from another package.
    """
    params = params or AuditParams()
    by_image: dict[str, list[Finding]] = defaultdict(list)
    for finding in audit.findings[: params.limit]:
        by_image[finding.id].append(finding)
    if not by_image:
        raise InputError(f"{audit.out} has no findings to export", hint="lower --min-score")
    samples = [audit.samples[id] for id in by_image]
    with new_folder(out) as folder:
        shapes = ((s, list(_shapes(s, by_image[s.id], audit.classes))) for s in samples)
        task = "findings of wsseg audit"
        write_shapes(
            folder, audit.classes, shapes, samples[0].split, task=task, attributes=ATTRIBUTES
        )
        for sample in samples if params.images != "none" else ():
            name = safe_name(f"{sample.id}{sample.image.suffix}")
            put_image(sample.image, folder / "images" / name, params.images)
    log(f"{len(samples)} images with suggestions are in {out}")
    return len(samples)


def _shapes(sample: Sample, findings: Sequence[Finding], classes: Classes) -> Iterator[Element]:
    wrong_tags = {classes.names[f.annotated]: f for f in findings if f.source == "tag"}
    wrong_boxes: dict[tuple[str, Place | None], Finding] = {
        (classes.names[f.annotated], f.place): f for f in findings if f.source == "box"
    }
    for shape in shapes_of(sample, classes):
        name = shape.get("label", "")
        is_tag = shape.tag == "tag"
        finding = wrong_tags.get(name) if is_tag else wrong_boxes.get((name, _place(shape)))
        yield with_attributes(shape, doubt=finding.sentence) if finding else shape
    for finding in findings:
        for shape in _suggestions(sample, finding, classes):
            shape.set("source", "auto")
            yield with_attributes(shape, suggestion="true", doubt=finding.sentence)
    if _is_empty_without(sample, findings):
        yield with_attributes(tag_shape(classes.names[0]), suggestion="true")


def _place(shape: Element) -> Place | None:
    if shape.tag != "box":
        return None
    left, top, right, bottom = (int(shape.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr"))
    return left, top, right, bottom


def _suggestions(sample: Sample, finding: Finding, classes: Classes) -> Iterator[Element]:
    """Yield a suggestion as a box, a mask or a tag, whichever the image is annotated with."""
    if finding.suggested is None or finding.suggestion is None:
        return
    name = classes.names[finding.suggested]
    types = sample.annotations
    if any(isinstance(item, Boxes) for item in types) and finding.source != "mask":
        yield box_shape(name, finding.suggestion)
    elif sample.strokes or any(isinstance(item, MaskFile | Regions) for item in types):
        mask = finding.mask
        for shape in mask_shapes(mask, name) if mask is not None else ():
            shape.set("z_order", "1")  # in front of the mask that it corrects
            yield shape
    else:
        yield tag_shape(name)


def _is_empty_without(sample: Sample, findings: Sequence[Finding]) -> bool:
    """True if all boxes of an image look wrong, so that a tag has to say that it shows nothing."""
    absent = {f.place for f in findings if f.kind == "no such object" and f.source == "box"}
    boxes = {(box.left, box.top, box.right, box.bottom) for box in sample.boxes}
    only_boxes = all(isinstance(item, Boxes) for item in sample.annotations)
    return bool(boxes) and only_boxes and boxes <= absent
