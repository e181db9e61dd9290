"""Files of full label maps, found by the names of their images."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from wsseg.data.formats.paths import files_by_id, inside, shown, some_of
from wsseg.data.formats.reading import ProblemLog
from wsseg.images import SUFFIXES

LABEL_MAP_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
"""Suffixes of files that keep class numbers; JPEG changes them."""

_MASK_WORDS = r"masks?|labels?|labelids|labelmap|gt|segs?|segmentation|ground_?truth|annotation"
_ENDING = re.compile(rf"[_\-. ]+((gtfine[_\-. ])?({_MASK_WORDS})|l)$", re.IGNORECASE)


def image_id_of_mask(id: str) -> str:
    """Return the id of the image that a mask is named after, without a usual ending.

    Example:
        >>> image_id_of_mask("farm/im0_mask"), image_id_of_mask("im0")
        ('farm/im0', 'im0')
    """
    return _ENDING.sub("", id)


def masks_in(folder: Path, root: Path, ids: Collection[str], log: ProblemLog) -> dict[str, Path]:
    """Return the label maps below a folder; see ``find_masks``."""
    files = files_by_id(inside(folder, root), SUFFIXES)
    return find_masks(files, shown(folder, root), ids, log)


def find_masks(
    files: Mapping[str, list[Path]], place: str, ids: Collection[str], log: ProblemLog
) -> dict[str, Path]:
    """Return the label maps among files by the id of their image; report all other files.

    A label map is named <id>, or with an ending such as <id>_mask, and is a PNG, TIFF, BMP or GIF.

    Args:
        files: By their id, as ``files_by_id`` returns them.
        place: Named in problems.
        ids: Images of the data set.
    """
    masks, others = dict[str, Path](), list[Path]()
    for id, paths in sorted(files.items(), key=lambda item: (item[0] not in ids, item[0])):
        image = id if id in ids else image_id_of_mask(id)
        for path in paths:
            fits = image in ids and path.suffix.lower() in LABEL_MAP_SUFFIXES
            if fits and image not in masks:
                masks[image] = path
            else:
                others.append(path)
    if others:
        names = some_of([path.name for path in others])
        message = f"{len(others)} files such as {names} are no <id>.png of an image; not read"
        log.add(place, message, "mask without image")
    return masks
