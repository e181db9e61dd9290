"""Where a data set lies and which of its annotations are used."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from wsseg.params import AbsolutePath, Params


class DataParams(Params):
    """Where the images and annotations lie."""

    format: str = "auto"
    """Name of a format, such as "voc", "coco", "yolo", "csv", "folders", "scenes", "jsonl", "cvat",
    "labelme" or "labelstudio"; "auto" detects it.
    """
    root: AbsolutePath
    """The data set's folder. For "scenes" it is where the demo scenes are generated."""
    weak: Literal["boxes", "tags", "boxes_as_tags", "all", "masks", "none"] = "all"
    """Which annotations of the data set are used as weak labels: "boxes", "tags", "boxes_as_tags"
    (tags made from the classes of the boxes), "all" but full masks, "masks", or "none".
    """
    annotations: tuple[AbsolutePath, ...] = ()
    """Files that are laid over the images, which are found by name: points, scribbles, boxes, tags
    and masks of annotation tools, JSON of COCO, XML of VOC, or data.yaml of YOLO; or folders of
    other data sets, whose full masks are taken if they have any, such as exported labels that were
    corrected.
    """
    corrections: tuple[AbsolutePath, ...] = ()
    """Files as in ``annotations`` that replace all other annotations of their images, such as the
    results of an audit, corrected in CVAT.
    """
    closed: bool | None = None
    """Whether every class that an image shows has a mark if the image has points, scribbles or
    polygons, so that other classes are absent; null: what their file says, else true.
    """
    stroke_width: float | None = Field(None, gt=0)
    """Width in pixels of points and scribbles whose file gives none; null: 1 % of the image's
    longer side, at least 3.
    """
    masks: AbsolutePath | None = None
    """A file with an image id a line, such as ``wsseg select`` writes: training images whose masks
    in the data set may be used; masks of others stay hidden.
    """
    train: str = "train"
    """Name of the split with weak labels."""
    val: str | None = "val"
    """Name of the split that is measured; null: none."""

    @field_validator("val")
    @classmethod
    def _is_another_split(cls, val: str | None, known: ValidationInfo) -> str | None:
        if val is not None and val == known.data.get("train"):
            raise ValueError("another split than data.train, or null")
        return val

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits to read."""
        return (self.train,) if self.val is None else (self.train, self.val)
