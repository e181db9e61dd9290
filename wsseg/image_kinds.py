"""Kinds of files that show images but are not read, and what to do about them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wsseg.safe_io import HAS_AVIF

_TO_JPEG, _TO_PNG = "convert it to JPEG", "convert it to PNG"
_TO_TIFF = "convert it to TIFF"
_GROUPS = {
    ("HEIC", _TO_JPEG): ".heic .heif .hif",
    ("camera raw data", _TO_JPEG): ".cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .raf .orf .rw2"
    " .pef .srw .x3f .3fr .iiq .erf .kdc .mrw .raw",
    ("JPEG XL", _TO_JPEG): ".jxl",
    ("DICOM", "convert it to PNG or 16-bit TIFF"): ".dcm .dicom",
    ("volume data", "save its slices as 16-bit TIFF"): ".nii .nii.gz .mha .mhd .nrrd",
    ("Photoshop data", _TO_PNG): ".psd .psb",
    ("GIMP data", _TO_PNG): ".xcf",
    ("SVG", _TO_PNG): ".svg .svgz",
    ("OpenEXR", _TO_TIFF): ".exr",
    ("Radiance HDR", _TO_TIFF): ".hdr",
    ("TGA", _TO_PNG): ".tga",
    ("PCX", _TO_PNG): ".pcx",
    ("microscope data", _TO_TIFF): ".czi .lif .nd2 .lsm .oib .oif .vsi",
    ("whole-slide data", "cut it into tiles of TIFF"): ".svs .ndpi .mrxs .scn .bif",
    ("FITS", _TO_TIFF): ".fits .fit .fts",
    ("NumPy data", _TO_PNG): ".npy .npz",
    ("video", "save its frames as JPEG"): ".mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .wmv .mts",
    **({} if HAS_AVIF else {("AVIF", "update Pillow or convert it to JPEG"): ".avif"}),
}
OTHER_KINDS = {
    suffix: (kind, remedy)
    for (kind, remedy), suffixes in _GROUPS.items()
    for suffix in suffixes.split()
}
"""Suffixes, in lower case, of images that are not read: the kind and the remedy."""

_SHOWN = 3
_JUNK = frozenset(("__macosx", "thumbs.db", "desktop.ini", "@eadir"))


@dataclass(frozen=True)
class Unread:
    """Files of one kind that is not read; as text a sentence with a remedy.

    Example:
        >>> print(Unread("HEIC", "convert it to JPEG", (Path("im0.HEIC"),)))
        im0.HEIC is HEIC, which is not read; convert it to JPEG
    """

    kind: str
    remedy: str
    paths: tuple[Path, ...]

    def __str__(self) -> str:
        names = ", ".join(path.name for path in self.paths[:_SHOWN])
        if (count := len(self.paths)) == 1:
            return f"{names} is {self.kind}, which is not read; {self.remedy}"
        names += ", ..." if count > _SHOWN else ""
        remedy = self.remedy.replace(" it ", " them ").replace(" its ", " their ")
        return f"{count} files ({names}) are {self.kind}, which is not read; {remedy}"


def unread_kind(path: Path) -> tuple[str, str] | None:
    """Return the kind of an image that is not read and its remedy; None for any other file."""
    name = path.name.lower()
    suffix = ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
    return OTHER_KINDS.get(suffix)


def unread_files(paths: Iterable[Path]) -> tuple[Unread, ...]:
    """Return the images among files that are not read, by kind, in the order of the files.

    Example:
        >>> for unread in unread_files([Path("a.jpg"), Path("b.NEF"), Path("c.nef")]):
        ...     print(unread)
        2 files (b.NEF, c.nef) are camera raw data, which is not read; convert them to JPEG
    """
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        if found := unread_kind(path):
            groups.setdefault(found, []).append(path)
    return tuple(Unread(*found, tuple(group)) for found, group in groups.items())


def is_junk(name: str) -> bool:
    """Return whether a file or folder is a hidden or leftover one of a file manager or notebook.

    Example:
        >>> is_junk(".ipynb_checkpoints"), is_junk("__MACOSX"), is_junk("cow.jpg")
        (True, True, False)
    """
    return name.startswith(".") or name.lower() in _JUNK


def visible_files(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted, without junk."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_junk(name)]
        found += (Path(parent, name) for name in names if not is_junk(name))
    return sorted(path for path in found if path.is_file())
