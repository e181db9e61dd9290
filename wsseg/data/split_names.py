"""Usual names of splits, such as "valid" for "val"."""

from collections.abc import Collection, Sequence

_SYNONYMS = (("train", "training"), ("val", "valid", "validation"), ("test", "testing"))


def matching_split(name: str, known: Collection[str]) -> str:
    """Return the known split that a name means, or the name itself if there is none.

    Names in another case and usual synonyms match if only one known split is meant.

    Example:
        >>> matching_split("val", ["train", "valid"])
        'valid'
        >>> matching_split("val", ["train", "val", "valid"])
        'val'
        >>> matching_split("val", ["train", "holdout"])
        'val'
    """
    if name in known:
        return name
    lower = name.lower()
    meant = next((names for names in _SYNONYMS if lower in names), (lower,))
    found = [other for other in known if other.lower() in meant]
    return found[0] if len(found) == 1 else name


def split_remedy(missing: str, wanted: Sequence[str], known: Sequence[str]) -> str:
    """Return the known splits and the setting that helps if one is missing.

    Args:
        wanted: The split to train on, then that to measure on if there is one.
    """
    remedy = f"known: {', '.join(known) or 'none'}"
    if not known:
        return remedy
    if len(wanted) != 2:
        return f"{remedy}; name one of them (data.train, or --split of a command)"
    if missing != wanted[0]:
        hold_out = f"set data.split=0.2 to hold out a fifth of {wanted[0]!r} as {missing!r}"
        return f"{remedy}; {hold_out}, data.val to another split, or data.val=null"
    if len(known) == 1:
        return f"{remedy}; set data.split=0.2 to divide it, or data.train={known[0]} data.val=null"
    return f"{remedy}; set data.train and data.val to two of them"
