"""Parameters of seeds and of class activation maps."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from wsseg.params import Params
from wsseg.refine.params import WalkParams


class BoxInnerParams(Params):
    """Parameters of the seed ``box_inner``."""

    share: float = Field(0.2, gt=0, le=1)
    """Share of the box in its middle that keeps its class; the rest becomes IGNORE."""
    mode: Literal["area", "side"] = "area"
    """Whether ``share`` is that of the area or of each side."""


class GrabCutParams(Params):
    """Parameters of the seeds ``grabcut``, ``grabcut_votes`` and ``grabcut_strokes``."""

    iterations: int = Field(5, ge=1)
    """GrabCut iterations per box or class; not of ``grabcut_votes``."""
    votes: int = Field(150, ge=1)
    """``grabcut_votes``: perturbed GrabCut runs per box."""
    edges: Path | None = None
    """Seeds of boxes: a folder of edge probabilities, grayscale images ``<id>.png`` of 0 to 255,
    that GrabCut uses beside the colours (GrabCut+).
    """


class SuperpixelVotesParams(Params):
    """Parameters of the seed ``superpixel_votes``."""

    count: int = Field(400, ge=1)
    """Approximate number of superpixels per image."""


class SeedParams(Params):
    """How annotations become the first label maps; see ``wsseg.seeds.apply``."""

    name: str = "auto"
    """"auto" uses ``boxes`` for images with boxes, and ``strokes`` for what is marked and for what
    boxes leave open; or a key of ``SEEDS``, "intersection", "folder", or the name of a plug-in.
    """
    boxes: str = "grabcut"
    """``auto``: the seed of boxes."""
    strokes: str = "grabcut_strokes"
    """``auto``: the seed of points, scribbles and polygons."""
    sources: tuple[str, str] = ("grabcut", "grabcut_votes")
    """``intersection``: the two seeds that must agree."""
    folder: Path | None = None
    """``folder``: the folder of label maps ``<id>.png`` of another program (SAM, MCG, ...)."""
    grabcut: GrabCutParams = GrabCutParams()
    box_inner: BoxInnerParams = BoxInnerParams()
    superpixel_votes: SuperpixelVotesParams = SuperpixelVotesParams()
    plugins: dict[str, dict[str, Any]] = Field({})
    """Parameters of seeds of other packages, by the seed's name."""

    @property
    def folders(self) -> list[Path]:
        """The folders of files ``<id>.png`` that seeds read besides the data set."""
        return [folder for folder in (self.folder, self.grabcut.edges) if folder]


class CAMParams(Params):
    """Class activation maps, and the first label maps made from them; see ``wsseg.seeds.cam``."""

    method: str = "cam"
    """"cam", "gradcam", "gradcam++", "layercam", or the name of a plug-in."""
    layer: str | None = None
    """Gradient methods: a submodule of the encoder, such as "blocks.5"; null is the input of the
    classifier's head.
    """
    scales: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 1.5, 2.0), min_length=1)
    """Factors of the image size whose maps are summed."""
    stride: int = Field(4, ge=1, le=32)
    """Side in pixels of the cells of the stored maps and of the random walk."""
    affinity: Literal["none", "par", "pamr", "colour", "boundary", "learned"] = "colour"
    """How maps are propagated before they become labels: "none", "par", "pamr", or a random walk
    that stays within one "colour", that does not cross a "boundary", or that follows an affinity
    "learned" from confident labels.
    """
    affinity_steps: int = Field(250, ge=1)
    """Optimizer steps of the training of the "learned" affinity."""
    threshold: Literal["constant", "power", "otsu"] = "constant"
    """Score of the background beside maps of 0 to 1: "constant"; "power" of 1 - maximum, such as 4
    for the foreground and 24 for the background; or "otsu", per image the threshold that separates
    its maps best, the same for both.
    """
    foreground: float = Field(0.25, ge=0)
    """Confident foreground: the class exceeds this constant, or power."""
    background: float = Field(0.25, ge=0)
    """Confident background: no class exceeds this constant, or power."""
    refiner: str = "none"
    """What refines the maps for both decisions: "crf", "par", "pamr", "none", or the name of a
    plug-in.
    """

    @property
    def walk(self) -> WalkParams:
        """The random walk that propagates the maps."""
        return WalkParams(stride=self.stride)
