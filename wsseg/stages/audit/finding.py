"""Findings: annotations that look wrong."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from wsseg.data.model import Classes, Sample

Kind = Literal[
    "mixed-up class", "missing object", "unlabelled part", "no such object", "box fits badly"
]
"""The kind of a label error."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Place = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the upright image; right and bottom are exclusive."""


@dataclass(frozen=True)
class Finding:
    """An annotation that the network contradicts.

    Args:
        source: The wrong annotation: "box", "tag", "stroke", "mask", or "image" if it is missing.
        annotated: The annotated class, 0 for the background.
        suggested: The predicted class; None if the network only contradicts the annotated one.
        place: The box of the annotation, or of the missing object.
        score: 0 to 1, comparable between kinds, see ``rank``.
        sentence: The explanation for a person.
        suggestion: The new box, None if no box is suggested.
        rle: COCO run lengths of the suggested pixels, empty if there are none.
        size: (H, W) of the image.
    """

    id: str
    kind: Kind
    source: str
    annotated: int
    suggested: int | None
    place: Place
    score: float
    sentence: str
    suggestion: Place | None
    rle: str
    size: tuple[int, int]

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """(H, W) the suggested pixels, None if there are none."""
        if not self.rle:
            return None
        encoded = {"size": list(self.size), "counts": self.rle.encode()}
        return np.asarray(coco_mask.decode(encoded), bool)


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Args:
        run: The folder of the audited run.
        network: The network that predicted, such as "round-1" or "3 folds".
        samples: All audited images by id, also those without findings.
        findings: The worst first.
        skipped: Images that could not be audited, with the reason.
    """

    run: Path
    network: str
    out: Path
    classes: Classes
    samples: Mapping[str, Sample]
    findings: Sequence[Finding]
    skipped: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """Yield the number of findings, in total and of each kind, as text."""
        images = len({finding.id for finding in self.findings})
        yield f"{len(self.findings)} findings on {images} of {len(self.samples)} images"
        for kind, count in Counter(finding.kind for finding in self.findings).most_common():
            yield f"  {kind}: {count}"


def table_row(finding: Finding, classes: Classes) -> dict[str, Any]:
    """Return a finding as a row of a table, with class names."""
    new_box = finding.suggestion or (None,) * 4
    return {
        "image": finding.id,
        "kind": finding.kind,
        "source": finding.source,
        "annotated": classes.names[finding.annotated],
        "suggested": suggested_name(finding, classes),
        **dict(zip(("x0", "y0", "x1", "y1"), finding.place, strict=True)),
        **dict(zip(("new_x0", "new_y0", "new_x1", "new_y1"), new_box, strict=True)),
        "score": round(finding.score, 4),
        "sentence": finding.sentence,
    }


def suggested_name(finding: Finding, classes: Classes) -> str | None:
    """Return the name of the suggested class, None if no class is suggested."""
    return None if finding.suggested is None else classes.names[finding.suggested]
