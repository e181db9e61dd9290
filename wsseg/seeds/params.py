"""Parameters of seeds and of class activation maps."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from wsseg.foundation.params import SamParams
from wsseg.params import Params


class BoxInnerParams(Params):
    """Parameters of the seed ``box_inner``."""

    share: float = Field(0.2, gt=0, le=1)
    """Share of the area of the box, in its middle, that keeps its class; the rest becomes IGNORE.
    """


class GrabCutParams(Params):
    """Parameters of the seeds ``grabcut``, ``grabcut_votes`` and ``grabcut_strokes``."""

    iterations: int = Field(5, ge=1)
    """Number of GrabCut iterations per box or class; ``grabcut_votes`` draws its own."""
    edges: Path | None = None
    """Folder of edge probabilities, grayscale images ``<id>.png`` of 0 to 255, that ``grabcut`` and
    ``grabcut_votes`` use beside the colours (GrabCut+).
    """


class SeedParams(Params):
    """Parameters of the first label maps from boxes, points, scribbles and polygons."""

    name: str = "auto"
    """Method of the first label maps. "auto" applies the method ``boxes`` to boxes, and the method
    ``strokes`` to marks in the pixels that boxes leave open. Of boxes: "box", "box_inner",
    "grabcut", "grabcut_votes", "intersection"; of marks: "strokes", "grabcut_strokes",
    "random_walker", "superpixel_votes"; of both: "sam"; "folder" reads them; or the name of a
    plug-in.
    """
    boxes: str = "grabcut"
    """Method of "auto" for boxes, and of objects for which "sam" fails."""
    strokes: str = "grabcut_strokes"
    """Method of "auto" for points, scribbles and polygons, and where "sam" fails on them."""
    sources: tuple[str, str] = ("grabcut", "grabcut_votes")
    """The two methods of "intersection", which keeps the objects that both find."""
    folder: Path | None = None
    """Folder of "folder" with label maps ``<id>.png`` of another program (SAM, MCG, ...)."""
    grabcut: GrabCutParams = GrabCutParams()
    box_inner: BoxInnerParams = BoxInnerParams()
    sam: SamParams = SamParams()
    plugins: dict[str, dict[str, Any]] = Field({})
    """Parameters of methods of other packages, by their names."""

    @property
    def folders(self) -> list[Path]:
        """The folders of files ``<id>.png`` that seeds read besides the data set."""
        return [folder for folder in (self.folder, self.grabcut.edges) if folder]


class CAMParams(Params):
    """Class activation maps of tagged images, and the first label maps that are made from them."""

    method: str = "cam"
    """"cam", "gradcam", "gradcam++", "layercam", or the name of a plug-in."""
    scales: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 1.5, 2.0), min_length=1)
    """Factors of the image size; the maps at all of them are summed."""
    affinity: Literal["none", "par", "pamr", "colour", "boundary", "learned"] = "colour"
    """Propagation of the maps to similar pixels before they become labels: "none"; "par" or "pamr"
    (pixel-adaptive refinement); or a random walk along "colour", along colour up to a "boundary",
    or along an affinity "learned" from confident labels.
    """
    threshold: Literal["constant", "power", "otsu"] = "constant"
    """Threshold of the maps (0 to 1): a "constant"; a "power" of 1 - the maximum over all maps; or
    "otsu", the threshold that separates the maps of each image best.
    """
    foreground: float = Field(0.25, ge=0)
    """The constant (or the exponent of "power", such as 4) that a class must exceed to be
    foreground.
    """
    background: float = Field(0.25, ge=0)
    """The constant (or the exponent of "power", such as 24) that no class may exceed in the
    background. Pixels that are neither become IGNORE.
    """
    refiner: str = "none"
    """Refiner of the scores before both decisions: "crf", "par", "pamr", "none", or the name of a
    plug-in.
    """
