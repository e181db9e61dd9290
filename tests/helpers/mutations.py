"""Replace values of valid files by hostile ones: JSON, JSON Lines, XML and plain text."""

import json
import re
from functools import reduce
from typing import Any
from xml.etree import ElementTree

NUMBERS = (0, -1, 1e-9, 65_535, 10**9, 10**400, 1e308, float("nan"), float("inf"), float("-inf"))
NAMES = (
    *("../../outside.png", "/etc/passwd", "..", ".", "a/../../b", "C:\\windows", "a.png", "b"),
    *("<script>alert(1)</script>", '"onmouseover=x', "[red]a&b", "x" * 5000, "\u202e\ud83d\ude00"),
    *("a\nb", "a\tb", "\x00", "\x1b[31m", "background", "é" * 200, "a/" * 300 + "b", "${HOME}"),
)
EMPTY = ("", None, True, [], {}, [[]], [None])
DEEP: Any = reduce(lambda inner, _: [inner], range(400), 1)
VALUES: tuple[Any, ...] = (*NUMBERS, *NAMES, *EMPTY, DEEP)
_TOKEN = re.compile(r"[^\s,:;<>\[\]{}]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def mutated(content, rng):
    """Return a file with one to three of its values replaced, duplicated or removed."""
    text = content.decode("utf-8", "replace")
    for _ in range(rng.randint(1, 3)):
        text = _changed(text, rng)
    return text.encode("utf-8", "replace")


def _changed(text, rng):
    begin = text.lstrip()[:1]
    try:
        if begin == "<":
            return _changed_xml(text, rng)
        if begin in {"{", "["}:
            return _changed_json(text, rng)
    except (ValueError, RecursionError, ElementTree.ParseError):
        pass
    return _changed_text(text, rng)


def _changed_json(text, rng):
    lines = text.split("\n")
    place = rng.randrange(len(lines))
    value = json.loads(lines[place])
    if not (places := [*_places(value)]):
        return _changed_text(text, rng)
    holder, key = rng.choice(places)
    how = rng.randrange(6)
    if how == 0 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif how == 0:
        holder[rng.choice(NAMES)] = holder[key]
    elif how == 1:
        del holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    lines[place] = json.dumps(value)
    return "\n".join(lines)


def _places(value):
    """Yield each container and each key in it."""
    if isinstance(value, dict | list):
        for key in [*(value if isinstance(value, dict) else range(len(value)))]:
            yield value, key
            yield from _places(value[key])


def _changed_xml(text, rng):
    root = ElementTree.fromstring(text)
    holder = rng.choice([*root.iter()])
    how, value = rng.randrange(6), _FORBIDDEN.sub("?", str(rng.choice(VALUES)))
    if how == 0 and len(holder):
        holder.append(holder[rng.randrange(len(holder))])
    elif how == 1 and len(holder):
        holder.remove(holder[rng.randrange(len(holder))])
    elif holder.attrib and how < 5:
        holder.set(rng.choice([*holder.attrib]), value)
    elif how == 5:
        holder.tag = rng.choice(["object", "image", "mask", "points", "track", "polygon", "a"])
    else:
        holder.text = value
    return ElementTree.tostring(root, encoding="unicode")


def _changed_text(text, rng):
    tokens = [*_TOKEN.finditer(text)]
    if not tokens or rng.randrange(8) == 0:
        return text + text
    found = rng.choice(tokens)
    return text[: found.start()] + str(rng.choice(VALUES)) + text[found.end() :]
