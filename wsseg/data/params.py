"""The location of a data set and the annotations that are used."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from wsseg.bands import ImageParams
from wsseg.params import AbsolutePath


class DataParams(ImageParams):
    """The images and annotations of a run."""

    format: str = "auto"
    """Format of the data set: "voc", "coco", "yolo", "csv", "folders", "scenes", "jsonl", "cvat",
    "labelme" or "labelstudio"; "auto" detects it.
    """
    root: AbsolutePath
    """Folder of the data set; for "scenes", the folder that the demo scenes are written to."""
    weak: Literal["boxes", "tags", "boxes_as_tags", "all", "masks", "none"] = "all"
    """Annotations of the data set that are used: "boxes", "tags", "boxes_as_tags" (the classes of
    the boxes as tags), "all" except full masks, "masks", or "none".
    """
    annotations: tuple[AbsolutePath, ...] = ()
    """Files with further annotations of the images: exports of annotation tools, JSON of COCO, XML
    of VOC, or data.yaml of YOLO; or folders of other data sets, such as exported labels that were
    corrected. Images are matched by name.
    """
    corrections: tuple[AbsolutePath, ...] = ()
    """Files as in ``annotations`` that replace all other annotations of their images, such as those
    that an audit found wrong and that were corrected in CVAT.
    """
    closed: bool | None = None
    """Whether images with points, scribbles or polygons show no class without such a mark; null is
    what the file of the marks says, or true.
    """
    stroke_width: float | None = Field(None, gt=0)
    """Width in pixels of points and scribbles whose file gives none; null is 1 % of the image's
    longer side, at least 3.
    """
    masks: AbsolutePath | None = None
    """File with one image id per line, such as ``wsseg select`` writes: the training images whose
    masks are used. Masks of other images are not read for training.
    """
    train: str = "train"
    """Name of the split to train on."""
    val: str | None = "val"
    """Name of the split on which networks are measured; null for none."""

    @field_validator("val")
    @classmethod
    def _is_another_split(cls, val: str | None, known: ValidationInfo) -> str | None:
        if val is not None and val == known.data.get("train"):
            raise ValueError("another split than data.train, or null")
        return val

    @property
    def reading(self) -> ImageParams:
        """The settings of reading images alone."""
        return ImageParams(range=self.range, bands=self.bands)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits to read."""
        return (self.train,) if self.val is None else (self.train, self.val)
