"""The page of an audit: annotations that look wrong, the worst first, with figures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.report.audit_pictures import ANNOTATED, SIDE, SUGGESTED, figures_of
from wsseg.report.page import write_page
from wsseg.report.pictures import GalleryRow, write_pictures
from wsseg.runs.progress import track
from wsseg.stages.audit.finding import KINDS, Audit, Finding, suggested_name


def write_audit_page(audit: Audit, limit: int | None = None) -> Path:
    """Write ``index.html`` and its ``pictures/`` to the folder of an audit and return the page.

    Args:
        limit: Number of findings that are shown, the worst first; None for all.
    """
    shown = list(audit.findings[:limit])
    pictures = write_pictures(audit.out, track(_rows(audit, shown), "pictures", len(shown)), SIDE)
    cards = [
        _card(audit, rank, *pair) for rank, pair in enumerate(zip(shown, pictures, strict=True), 1)
    ]
    content = {
        "name": audit.run.resolve().name,
        "network": audit.network,
        "tiles": _tiles(audit),
        "kinds": [kind for kind in KINDS if any(f.kind == kind for f in audit.findings)],
        "table": _table(audit),
        "n_findings": len(audit.findings),
        "cards": cards,
        "card_kinds": sorted({card["kind"] for card in cards}, key=KINDS.index),
        "card_classes": sorted({name for card in cards for name in card["classes"]}),
        "annotated_colour": _css(ANNOTATED),
        "suggested_colour": _css(SUGGESTED),
        "skipped": sorted(audit.skipped.items()),
    }
    write_page(audit.out / "index.html", "audit.html.j2", content)
    return audit.out / "index.html"


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _tiles(audit: Audit) -> list[dict[str, str]]:
    images = {finding.id for finding in audit.findings}
    return [
        {"value": str(len(audit.findings)), "title": "findings"},
        {"value": f"{len(images)} of {len(audit.samples)}", "title": "images with a finding"},
        {"value": str(len(audit.skipped)), "title": "skipped images"},
    ]


def _table(audit: Audit) -> list[dict[str, Any]]:
    """Count the findings by class and kind; missing objects count for the suggested class."""
    counts = Counter((_class_of(finding), finding.kind) for finding in audit.findings)
    kinds = [kind for kind in KINDS if any(kind == counted for _, counted in counts)]
    by_class = {
        name: [counts[label, kind] for kind in kinds] for label, name in enumerate(audit.classes)
    }
    named = [(name, cells) for name, cells in by_class.items() if any(cells)]
    named.sort(key=lambda row: -sum(row[1]))
    totals = [sum(column) for column in zip(*by_class.values(), strict=True)]
    rows = [*named, ("all classes", totals)] if named else []
    return [{"name": name, "cells": cells, "total": sum(cells)} for name, cells in rows]


def _class_of(finding: Finding) -> int:
    return finding.annotated or finding.suggested or 0


def _card(audit: Audit, rank: int, finding: Finding, row: dict[str, Any]) -> dict[str, Any]:
    suggested = suggested_name(finding, audit.classes)
    annotated = audit.classes.names[finding.annotated]
    return {
        "rank": rank,
        "id": finding.id,
        "kind": finding.kind,
        "classes": sorted(
            {name for name in (annotated, suggested) if name and name != audit.classes.names[0]}
        ),
        "score": f"{finding.score:.2f}",
        "sentence": finding.sentence,
        "pictures": row["pictures"],
    }


def _rows(audit: Audit, findings: Sequence[Finding]) -> Iterator[GalleryRow]:
    for finding in findings:
        sample = audit.samples[finding.id]
        try:
            image = read_image(sample.image)
        except InputError:  # deleted since the audit
            yield GalleryRow(finding.id, ())
            continue
        pictures = tuple(figures_of(image, sample, finding, audit.classes))
        yield GalleryRow(finding.id, pictures)
