"""Findings as a data set of CVAT: what was given, and beside it what is suggested."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from wsseg.data.formats.files import safe_name
from wsseg.data.model import Boxes, Classes, MaskFile, Regions, Sample
from wsseg.data.writers.cvat import write_shapes
from wsseg.data.writers.cvat_shapes import (
    box_shape,
    mask_shapes,
    shapes_of,
    tag_shape,
    with_attributes,
)
from wsseg.errors import InputError
from wsseg.runs.progress import log
from wsseg.stages.audit.finding import Audit, Finding, Place
from wsseg.stages.export import appearing, check_images, check_new, put_image

ATTRIBUTES = {"suggestion": "checkbox", "doubt": "text"}
"""What every label gets besides its name: true on what is only suggested, and a sentence on both
what is suggested and what was given."""


def check_export(to: str, out: Path, images: str) -> None:
    """Refuse an export that cannot be, before an audit is made for it.

    Args:
        to: "cvat".
        out: A new or empty folder.
        images: One of ``Images``.

    Raises:
        InputError: It is none of these.
    """
    if to != "cvat":
        raise InputError("--to", "cvat and a folder", repr(to), "write --to cvat FOLDER")
    check_images(images)
    check_new(out)


def export_findings(audit: Audit, out: Path, *, images: str = "copy", most: int = 200) -> int:
    """Write the images of the worst findings for CVAT, with given labels and suggestions.

    Suggestions are shapes and tags whose attribute "suggestion" is true. To accept one, untick it
    and delete the given label that it replaces; to refuse it, delete it. What is neither says
    nothing when wsseg reads the file. Given labels that are in doubt say why in "doubt".

    The folder appears complete or not at all.

    Args:
        audit: The findings.
        out: A new or empty folder.
        images: "copy", "link" (hard links) or "none".
        most: Findings that are exported, the worst first.

    Returns:
        The number of images.

    Raises:
        InputError: There is nothing to export, the folder is not empty, an image is gone, or
            annotations are of another package.
    """
    check_images(images)
    chosen = _by_image(audit.findings[:most])
    if not chosen:
        raise InputError(f"findings of {audit.out}", "at least one", "none", "lower --least")
    split = audit.samples[next(iter(chosen))].split
    with appearing(out) as folder:
        shaped = (
            (audit.samples[id], list(_shapes(audit.samples[id], found, audit.classes)))
            for id, found in chosen.items()
        )
        task = "findings of wsseg audit"
        write_shapes(folder, audit.classes, shaped, split, task=task, attributes=ATTRIBUTES)
        for sample in (audit.samples[id] for id in chosen):
            name = safe_name(f"{sample.id}{sample.image.suffix}")
            if images != "none":
                put_image(sample.image, folder / "images" / name, images)
    log(f"{len(chosen)} images with suggestions are in {out}")
    return len(chosen)


def _by_image(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        found[finding.id].append(finding)
    return found


def _shapes(sample: Sample, findings: Sequence[Finding], classes: Classes) -> Iterator[Element]:
    labels = {classes.names[f.given]: f for f in findings if f.source == "tag"}
    places: dict[tuple[str, Place | None], Finding] = {
        (classes.names[f.given], f.place): f for f in findings if f.source == "box"
    }
    for shape in shapes_of(sample, classes):
        name = shape.get("label", "")
        finding = labels.get(name) if shape.tag == "tag" else places.get((name, _place(shape)))
        yield with_attributes(shape, doubt=finding.sentence) if finding else shape
    for finding in findings:
        for shape in _suggested(sample, finding, classes):
            shape.set("source", "auto")
            yield with_attributes(shape, suggestion="true", doubt=finding.sentence)
    if _nothing_is_left(sample, findings):
        yield with_attributes(tag_shape(classes.names[0]), suggestion="true")


def _place(shape: Element) -> Place | None:
    if shape.tag != "box":
        return None
    left, top, right, bottom = (int(shape.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr"))
    return left, top, right, bottom


def _suggested(sample: Sample, finding: Finding, classes: Classes) -> Iterator[Element]:
    """The suggestion in the way in which the image is annotated."""
    if finding.suggested is None or finding.suggestion is None:
        return
    name = classes.names[finding.suggested]
    if any(isinstance(drawn, Boxes) for drawn in sample.annotations) and finding.source != "mask":
        yield box_shape(name, finding.suggestion)
    elif any(isinstance(drawn, MaskFile | Regions) for drawn in sample.annotations) or (
        sample.strokes
    ):
        mask = finding.mask
        for shape in mask_shapes(mask, name) if mask is not None else ():
            shape.set("z_order", "1")  # before the mask that it corrects
            yield shape
    else:
        yield tag_shape(name)


def _nothing_is_left(sample: Sample, findings: Sequence[Finding]) -> bool:
    """Whether an image without the labels in doubt would show nothing, which has to be said."""
    absent = {f.place for f in findings if f.kind == "no such object" and f.source == "box"}
    boxes = {(box.left, box.top, box.right, box.bottom) for box in sample.boxes}
    only_boxes = all(isinstance(drawn, Boxes) for drawn in sample.annotations)
    return bool(boxes) and only_boxes and boxes <= absent
