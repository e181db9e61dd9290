"""Findings in one plain sentence each."""

from wsseg.annotations.model import Classes
from wsseg.audit.evidence import Evidence
from wsseg.audit.finding import Kind

_GIVEN = {"box": "This box", "stroke": "This stroke", "part": "This part of the mask"}


def sentence_of(kind: Kind, item: Evidence, suggested: int | None, classes: Classes) -> str:
    """Return what a person should look at.

    Args:
        kind: What seems wrong.
        item: The place, and what the network sees there.
        suggested: The class that it sees.
        classes: The class names.

    Returns:
        A sentence of plain text, class names as they are.
    """
    given = classes.names[item.given]
    seen = None if suggested is None else classes.names[suggested]
    if kind == "box fits badly":
        return (
            f"The box of {given} and what looks like {given} around it have an IoU of only "
            f"{item.share:.2f}: move its edges."
        )
    if kind in {"missing object", "unlabelled part"}:
        what = "a part of" if kind == "unlabelled part" else "all of"
        here = (
            f"It looks like {what} a {seen}"
            if kind == "unlabelled part"
            else f"It looks like {seen}"
        )
        return f"{here} here ({_percent(item, suggested)}), but nothing given says so."
    subject = _GIVEN.get(item.source, "The image")
    said = f"is tagged {given}" if item.source == "tag" else f"says {given}"
    if seen is None or suggested == 0:
        return (
            f"{subject} {said}, but nothing like it is to be seen ({_percent(item, item.given)})."
        )
    return (
        f"{subject} {said} ({_percent(item, item.given)}), but it looks like {seen} "
        f"({_percent(item, suggested)})."
    )


def _percent(item: Evidence, label: int | None) -> str:
    return f"{100 * item.means[label or 0]:.0f} %"
