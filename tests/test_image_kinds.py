from pathlib import Path

from wsseg.image_kinds import OTHER_KINDS, unread_files, unread_kind
from wsseg.images import SUFFIXES


def test_no_suffix_is_both_read_and_unread():
    assert not {*OTHER_KINDS} & {*SUFFIXES}


def test_unread_files_are_named_by_kind():
    names = ("im0.HEIC", "a.jpg", "b.nii.gz", "c.nef", "d.CR2", "e.arw", "f.dng", "notes.txt")
    assert [str(unread) for unread in unread_files(map(Path, names))] == [
        "im0.HEIC is HEIC, which is not read; convert it to JPEG",
        "b.nii.gz is volume data, which is not read; save its slices as 16-bit TIFF",
        "4 files (c.nef, d.CR2, e.arw, ...) are camera raw data, which is not read; "
        "convert them to JPEG",
    ]


def test_other_files_have_no_kind():
    assert [unread_kind(Path(name)) for name in ("a.jpg", "a.txt", "a.gz", "heic")] == [None] * 4
