"""Where a data set lies and which of its annotations are used."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from wsseg.params import AbsolutePath, Params


class DataParams(Params):
    """Where the images and annotations lie.

    Attributes:
        format: A key of ``READERS``, such as "voc", or "auto" to find out.
        root: The data set's folder. For "scenes" it is where the demo scenes are generated.
        weak: What is read as weak labels: "boxes", "tags", "boxes_as_tags" (the classes of an
            image's boxes without the boxes), "all" that is drawn or tagged but full masks, "masks"
            of the images that have one, or "none" of it.
        annotations: Files that are laid over these: points, scribbles, boxes, tags and masks in any
            format of ``OVERLAYS``, or the masks of another data set's folder, such as exported
            labels that were corrected; their images are found by name.
        corrections: Files in any format of ``OVERLAYS`` that replace all that is known of their
            images, such as the findings of an audit, corrected in CVAT.
        closed: Whether every class that an image shows has a mark where it has points, scribbles or
            outlines, so that others are absent; null is what their file says, else true.
        stroke_width: Pixels, of points and scribbles whose file gives none; null is 1 % of the
            image's longer side, at least 3.
        masks: A file with an image's id a line, such as ``wsseg select`` writes: training images
            whose masks in the data set are given; those of others stay hidden.
        train: Name of the split with weak labels.
        val: Name of the split that figures are measured on; null where there is none.
    """

    format: str = "auto"
    root: AbsolutePath
    weak: Literal["boxes", "tags", "boxes_as_tags", "all", "masks", "none"] = "boxes"
    annotations: tuple[AbsolutePath, ...] = ()
    corrections: tuple[AbsolutePath, ...] = ()
    closed: bool | None = None
    stroke_width: float | None = Field(None, gt=0)
    masks: AbsolutePath | None = None
    train: str = "train"
    val: str | None = "val"

    @field_validator("format")
    @classmethod
    def _known_format(cls, format: str) -> str:
        # The table imports every reader, so it is imported only when a format is named.
        from wsseg.data.formats.table import READABLE  # noqa: PLC0415

        if format not in {"auto", *READABLE}:
            raise ValueError(f"one of auto, {', '.join(READABLE)}")
        return format

    @field_validator("val")
    @classmethod
    def _held_out(cls, val: str | None, known: ValidationInfo) -> str | None:
        if val is not None and val == known.data.get("train"):
            raise ValueError("another split than data.train, or null")
        return val

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits to read."""
        return (self.train,) if self.val is None else (self.train, self.val)
