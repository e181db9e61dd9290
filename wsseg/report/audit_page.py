"""The page of an audit: annotations that look wrong, the worst first, with figures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.report.audit_pictures import ANNOTATED, SIDE, SUGGESTED, figures_of
from wsseg.report.page import write_page
from wsseg.report.pictures import GalleryRow, write_pictures
from wsseg.runs.progress import track
from wsseg.stages.audit.finding import KINDS, Audit, Finding


def write_audit_page(audit: Audit, limit: int | None = None) -> Path:
    """Write ``index.html`` and its ``pictures/`` to the folder of an audit and return the page.

    Args:
        limit: Number of findings that are shown, the worst first; None for all.
    """
    shown = list(audit.findings[:limit])
    rows = track(_rows(audit, shown), "figures", len(shown))
    affected = f"{len({finding.id for finding in audit.findings})} of {len(audit.samples)}"
    cards = [
        (finding, _class_names(audit, finding), pictures)
        for finding, (_, pictures) in zip(shown, write_pictures(audit.out, rows, SIDE), strict=True)
    ]
    # A missing object counts for the suggested class.
    counts = Counter((f.annotated or f.suggested or 0, f.kind) for f in audit.findings)
    kinds = [kind for kind in KINDS if any(kind == counted for _, counted in counts)]
    table = [
        (name, [counts[label, kind] for kind in kinds]) for label, name in enumerate(audit.classes)
    ]
    content = {
        "name": audit.run.resolve().name,
        "audit": audit,
        "tiles": [
            (len(audit.findings), "findings"),
            (affected, "images with a finding"),
            (len(audit.skipped), "skipped images"),
        ],
        "kinds": kinds,
        "table": sorted((row for row in table if any(row[1])), key=lambda row: -sum(row[1])),
        "totals": [sum(column) for column in zip(*(cells for _, cells in table), strict=True)],
        "cards": cards,
        "card_kinds": sorted({finding.kind for finding in shown}, key=KINDS.index),
        "card_classes": sorted({name for _, names, _ in cards for name in names}),
        "annotated_colour": "#{:02x}{:02x}{:02x}".format(*ANNOTATED),
        "suggested_colour": "#{:02x}{:02x}{:02x}".format(*SUGGESTED),
    }
    write_page(audit.out / "index.html", "audit.html.j2", content)
    return audit.out / "index.html"


def _class_names(audit: Audit, finding: Finding) -> list[str]:
    """Return the annotated and the suggested class, sorted, without the background."""
    labels = {finding.annotated, finding.suggested} - {0, None}
    return sorted(audit.classes.names[label] for label in labels if label)


def _rows(audit: Audit, findings: Sequence[Finding]) -> Iterator[GalleryRow]:
    for finding in findings:
        sample = audit.samples[finding.id]
        try:
            image = read_image(sample.image, sample.reading)
        except InputError:  # deleted since the audit
            yield GalleryRow(finding.id, ())
            continue
        pictures = tuple(figures_of(image, sample, finding, audit.classes))
        yield GalleryRow(finding.id, pictures)
