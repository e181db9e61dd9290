"""Images of a data set by the names that tables write."""

from pathlib import Path

from wsseg.data.formats.paths import ImageIndex, id_below
from wsseg.errors import InputError

SEPARATORS = ",;\t|"
"""Separators of the cells of a table."""


class Images:
    """The images of a data set, found by the names in tables.

    An image lies in images/<split>, images, <split>, the folder itself or that of the table.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.index = root, ImageIndex(root)

    def find(self, name: str, split: str) -> tuple[str, Path]:
        """Return the id and the file of an image.

        The id is the path in the innermost of the folders, whatever folders the table writes.

        Raises:
            InputError: As ``ImageIndex.find``, or the name holds a separator of another row.
        """
        root = self.root
        folders = [root / "images" / split, root / "images", root / split, root]
        path = self.index.find(name, folders)[1]
        if not path.as_posix().endswith(name) and any(one in name for one in SEPARATORS):
            rule, remedy = "a file of the data set", "write the same separator in all rows"
            raise InputError(f"image {name!r:.80}", rule, "none of this name", remedy)
        return id_below(path, folders), path

    def has(self, name: str, split: str) -> bool:
        """Return whether a name is that of an image, or of several."""
        try:
            return bool(name and self.find(name, split))
        except InputError as error:
            return not error.rule  # the error of several images is a whole sentence
