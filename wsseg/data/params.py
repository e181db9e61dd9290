"""The location of a data set and the annotations that are used."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from wsseg.bands import ImageParams
from wsseg.params import AbsolutePath

_BACKGROUND = "background"
_ClassLists = dict[str, tuple[str, ...]]


def _read_classes(value: Any) -> Any:
    """Return lists of old names by new name; YAML reads names such as 1 and yes as other types."""
    if isinstance(value, list | tuple):
        repeated = [name for name, count in Counter(map(str, value)).items() if count > 1]
        if repeated:
            raise ValueError(f"a list of distinct classes ({repeated[0]} occurs twice)")
        value = {name: [name] for name in value if name != _BACKGROUND}
    if isinstance(value, str):
        raise ValueError("a list of names, or new names with lists of old ones")
    if not isinstance(value, dict):
        return value
    lists = {new: old if isinstance(old, list | tuple) else [old] for new, old in value.items()}
    for name in (*lists, *(old for olds in lists.values() for old in olds)):
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise ValueError("made of names; put names such as yes, no and null in quotes")
    return {str(new): tuple(map(str, olds)) for new, olds in lists.items()}


def _check_classes(classes: _ClassLists | None) -> _ClassLists | None:
    if classes is None:
        return None
    if not [new for new in classes if new != _BACKGROUND]:
        raise ValueError("at least one class beside the background")
    if empty := [new for new, olds in classes.items() if not olds]:
        raise ValueError(f"new names with one or more old ones each ({empty[0]} has none)")
    uses = Counter(old for olds in classes.values() for old in olds)
    if twice := [old for old, count in uses.items() if count > 1]:
        raise ValueError(f"a mapping that uses each old class once ({twice[0]} occurs twice)")
    if _BACKGROUND in uses and _BACKGROUND not in classes.get(_BACKGROUND, ()):
        raise ValueError("a mapping of object classes; the background cannot become one of them")
    return classes


class DataParams(ImageParams):
    """The images and annotations of a run."""

    format: str = "auto"
    """Format of the data set: "voc", "coco", "yolo", "csv", "folders", "pairs" (images and masks),
    "jsonl", "cvat", "labelme", "labelstudio", "supervisely", "datumaro", or "scenes"; "auto"
    detects it.
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
    """Files as in ``annotations`` that replace all other annotations of the images about which they
    say something, such as those that an audit found wrong and that were corrected in CVAT.
    """
    crowds: Literal["ignore", "objects"] = "ignore"
    """Meaning of COCO's crowds (``iscrowd`` 1): "ignore" leaves their pixels out; "objects" takes
    each as one object, for tools that write every brush mask as a crowd.
    """
    links: bool = False
    """Follow symbolic links that lead out of the data set."""
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
    val: str | None = Field("val", validate_default=True)
    """Name of the split on which networks are measured; null for none. If there is no split of this
    or the training split's name, usual other names are tried: "valid", "validation", "training".
    """
    split: float | None = Field(None, gt=0, lt=1)
    """Share of the images of ``train`` that becomes the split ``val``, such as 0.2; the only split
    of a data set serves as ``train``, whatever its name. Classes are balanced, and the same images
    are held out at every call. null is the data set's own splits.
    """
    held_out: AbsolutePath | None = None
    """File with one image id per line: these images become the split ``val``, and all others of
    ``train`` and ``val`` the split ``train``, such as in a fold of a cross-validation.
    """
    group: str | None = None
    """Images that ``split`` keeps together: a regular expression whose first group, or whole match,
    in the image id names the group, such as "^(.*)_[0-9]+$" for the frames of a video; or
    "similar" for near-duplicates, for which every command decodes every image at a small size.
    """
    classes: Annotated[
        _ClassLists | None,
        BeforeValidator(_read_classes),
        AfterValidator(_check_classes),
    ] = None
    """Classes to use, in the order of their labels: a list of names, or new names with lists of the
    old ones, such as ``{animal: [cow, sheep], car: [car]}``. Objects of other classes, and of those
    listed for "background", become background. null is all classes.
    """

    @field_validator("val")
    @classmethod
    def _is_another_split(cls, val: str | None, known: ValidationInfo) -> str | None:
        if val is not None and val == known.data.get("train"):
            raise ValueError("another split than data.train, or null")
        return val

    @field_validator("split", "held_out")
    @classmethod
    def _has_a_name(cls, value: Any, known: ValidationInfo) -> Any:
        if value is not None and known.data.get("val", "") is None:
            raise ValueError("null where data.val is null, or data.val the name of the new split")
        return value

    @field_validator("held_out")
    @classmethod
    def _divides_alone(cls, held_out: Path | None, known: ValidationInfo) -> Path | None:
        if held_out is not None and known.data.get("split") is not None:
            raise ValueError("null where data.split is set")
        return held_out

    @field_validator("group")
    @classmethod
    def _is_a_pattern(cls, group: str | None, known: ValidationInfo) -> str | None:
        if group is None:
            return None
        if known.data.get("split") is None:
            raise ValueError("null unless data.split is set")
        try:
            re.compile(group)
        except re.error as error:
            raise ValueError(f'"similar" or a regular expression ({error})') from error
        return group

    @property
    def reading(self) -> ImageParams:
        """The settings of reading images alone."""
        return ImageParams(range=self.range, bands=self.bands)

    @property
    def is_divided(self) -> bool:
        """True if the splits are not those of the data set."""
        return self.split is not None or self.held_out is not None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits to read."""
        return (self.train,) if self.val is None else (self.train, self.val)
