"""One place where a given label looks wrong, and what an audit found altogether."""

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
"""What can be wrong with a given label."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Place = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the upright image; right and bottom lie outside."""


@dataclass(frozen=True)
class Finding:
    """A given label that the network contradicts.

    Args:
        id: The image.
        kind: What seems wrong.
        source: What it is wrong with: "box", "tag", "stroke", "mask", or "image" where nothing
            was given there.
        given: The class given, 0 for the background.
        suggested: The class that the network sees, None where it only says that the given one is
            not there.
        place: Where the given label lies; of what is missing, where it would.
        score: 0 to 1, comparable between kinds: see ``ranking``.
        sentence: What a person should look at.
        suggestion: The new box, None where no box is suggested.
        counts: COCO's run lengths of the suggested pixels, empty where there are none.
        size: (H, W) of the image.
    """

    id: str
    kind: Kind
    source: str
    given: int
    suggested: int | None
    place: Place
    score: float
    sentence: str
    suggestion: Place | None
    counts: str
    size: tuple[int, int]

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """(H, W) bool, the suggested pixels; None where there are none."""
        if not self.counts:
            return None
        encoded = {"size": list(self.size), "counts": self.counts.encode()}
        return np.asarray(coco_mask.decode(encoded), bool)


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Args:
        run: The audited run's folder.
        network: Which network looked, such as "round-1" or "3 folds".
        out: The audit's folder.
        classes: The class names.
        samples: The images by id, those without findings too.
        findings: The worst first.
        set_aside: Images that could not be looked at, and why.
    """

    run: Path
    network: str
    out: Path
    classes: Classes
    samples: Mapping[str, Sample]
    findings: Sequence[Finding]
    set_aside: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """Yield how many findings there are, as text.

        Yields:
            A line for all of them and one for each kind.
        """
        images = len({finding.id for finding in self.findings})
        yield f"{len(self.findings)} findings on {images} of {len(self.samples)} images"
        for kind, count in Counter(finding.kind for finding in self.findings).most_common():
            yield f"  {kind}: {count}"


def row_of(finding: Finding, classes: Classes) -> dict[str, Any]:
    """Return a finding as a row of a table, its classes by name.

    Args:
        finding: The finding.
        classes: The class names.

    Returns:
        Its values; None where there is no suggestion.
    """
    named = {"given": classes.names[finding.given], "suggested": suggested_name(finding, classes)}
    corners = dict(zip(("x0", "y0", "x1", "y1"), finding.place, strict=True))
    new = finding.suggestion or (None,) * 4
    better = dict(zip(("new_x0", "new_y0", "new_x1", "new_y1"), new, strict=True))
    about = {"image": finding.id, "kind": finding.kind, "source": finding.source}
    rest = {"score": round(finding.score, 4), "sentence": finding.sentence}
    return {**about, **named, **corners, **better, **rest}


def suggested_name(finding: Finding, classes: Classes) -> str | None:
    """Return the name of the suggested class.

    Args:
        finding: The finding.
        classes: The class names.

    Returns:
        The name, None where no class is suggested.
    """
    return None if finding.suggested is None else classes.names[finding.suggested]
