"""Findings in one plain sentence each."""

from wsseg.data.model import Classes
from wsseg.stages.audit.evidence import Evidence
from wsseg.stages.audit.finding import Kind

_SUBJECTS = {"box": "This box", "stroke": "This stroke", "part": "This part of the mask"}


def sentence_of(kind: Kind, item: Evidence, suggested: int | None, classes: Classes) -> str:
    """Return what a person should look at.

    Args:
        kind: What seems wrong.
        item: The place, and what the network sees there.
        suggested: The class that it sees, None where it only misses the given one.
        classes: The class names.

    Returns:
        A sentence of plain text; class names stand in it as they are.
    """
    given = classes.names[item.given]
    if kind == "box fits badly":
        seen = f"its box and what the network sees of it have an IoU of {item.share:.2f}"
        return f"This is {given}, but {seen}."
    if suggested is not None and kind != "mixed-up class":
        where = "beside it or in a gap of the labels" if item.touches else "where none is given"
        return f"The network sees {_seen(item, suggested, classes)} {where}."
    said = f"The image is tagged {given}" if item.source == "tag" else None
    said = said or f"{_SUBJECTS[item.source]} says {given}"
    if suggested is None:
        return f"{said}, but the network sees almost none ({_percent(item, item.given)})."
    rival = _seen(item, suggested, classes)
    return f"{said} ({_percent(item, item.given)}), but the network sees {rival}."


def _seen(item: Evidence, label: int, classes: Classes) -> str:
    return f"{classes.names[label]} ({_percent(item, label)})"


def _percent(item: Evidence, label: int) -> str:
    return f"{100 * item.means[label]:.0f} %"
