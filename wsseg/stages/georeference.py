"""Georeference of a predicted label map, copied from its image: a world file and its projection."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from wsseg.errors import InputError
from wsseg.files import write_text
from wsseg.images import read_header
from wsseg.safe_io import DECODER_ERRORS, open_regular
from wsseg.tiff import open_tiff

_SCALE, _TIEPOINT, _TRANSFORMATION, _KEYS = 33550, 33922, 34264, 34735  # tags of GeoTIFF
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1025, 2048, 3072  # keys in the tag _KEYS
_IS_POINT = 2  # raster type: coordinates are those of pixel centres, not of corners
_USER_DEFINED = 32767

_AUXILIARY = "<PAMDataset>\n  <SRS>EPSG:{code}</SRS>\n</PAMDataset>\n"


def copy_georeference(image: Path, label_map: Path) -> bool:
    """Write where a label map lies on the earth, if its image says so.

    ``<name>.pgw`` is the image's own world file or is computed from its GeoTIFF tags, whose EPSG
    code stands in ``<name>.png.aux.xml``, where GDAL reads it; ``<name>.prj`` is copied. An image
    that is turned by EXIF is left out, as its world file belongs to the stored pixels.

    Args:
        image: File of the image, which can be read.
        label_map: PNG of the same size.

    Returns:
        True if a world file was written.
    """
    if read_header(image).orientation != 1:
        return False
    target = label_map.with_suffix(".pgw")
    if world := _beside(image, _world_suffixes(image.suffix)):
        shutil.copyfile(world, target)
    elif lines := _world_lines(tags := _geo_tags(image)):
        write_text(target, "".join(f"{value!r}\n" for value in lines))
        if code := _epsg(_geo_keys(tags)):
            write_text(
                label_map.with_name(f"{label_map.name}.aux.xml"), _AUXILIARY.format(code=code)
            )
    else:
        return False
    if projection := _beside(image, [".prj"]):
        shutil.copyfile(projection, label_map.with_suffix(".prj"))
    return True


def _world_suffixes(suffix: str) -> list[str]:
    """Return the usual suffixes of world files.

    Example:
        >>> _world_suffixes(".jpg")
        ['.jgw', '.jpgw', '.wld']
    """
    short = suffix[1:2] + suffix[-1:] + "w"
    return [f".{short}", f"{suffix}w", ".wld"]


def _beside(image: Path, suffixes: Sequence[str]) -> Path | None:
    names = (image.with_suffix(each) for s in suffixes for each in (s, s.lower(), s.upper()))
    return next((path for path in names if path.is_file()), None)


def _geo_tags(image: Path) -> dict[int, tuple[float, ...]]:
    if image.suffix.lower() not in {".tif", ".tiff"}:
        return {}
    try:
        with open_regular(image) as file, open_tiff(file) as page:
            known = (_SCALE, _TIEPOINT, _TRANSFORMATION, _KEYS)
            return {tag: tuple(page.tags[tag].value) for tag in known if tag in page.tags}
    except (*DECODER_ERRORS, KeyError) as error:
        raise InputError(image, "a readable image", error, "replace or remove it") from error


def _geo_keys(tags: dict[int, tuple[float, ...]]) -> dict[int, int]:
    """Return the keys whose value is a number: (id, 0, 1, value) after a header of four."""
    values = [int(value) for value in tags.get(_KEYS, ())][4:]
    entries = zip(values[::4], values[1::4], values[3::4], strict=False)
    return {key: value for key, place, value in entries if place == 0}


def _epsg(keys: dict[int, int]) -> int | None:
    codes = (keys.get(kind, 0) for kind in (_PROJECTED, _GEOGRAPHIC))
    return next((code for code in codes if 0 < code < _USER_DEFINED), None)


def _world_lines(tags: dict[int, tuple[float, ...]]) -> tuple[float, ...]:
    """Return the six lines of a world file, whose origin is the centre of the first pixel.

    Control points, from which no affine map follows directly, give none.
    """
    if len(matrix := tags.get(_TRANSFORMATION, ())) == 16:
        a, b, _, x, d, e, _, y = matrix[:8]
    elif len(tags.get(_SCALE, ())) == 3 and len(tags.get(_TIEPOINT, ())) == 6:
        column, row, _, left, top, _ = tags[_TIEPOINT]
        a, e, b, d = tags[_SCALE][0], -tags[_SCALE][1], 0.0, 0.0
        x, y = left - column * a, top - row * e
    else:
        return ()
    if _geo_keys(tags).get(_RASTER_TYPE) != _IS_POINT:
        x, y = x + (a + b) / 2, y + (d + e) / 2
    return tuple(float(value) for value in (a, d, b, e, x, y))
