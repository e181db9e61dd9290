"""Parameters of seeds and of class activation maps."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from wsseg.params import Params
from wsseg.refine.params import WalkParams


class BoxInnerParams(Params):
    """Parameters of the seed ``box_inner``."""

    share: float = Field(0.2, gt=0, le=1)
    """Share of the area of the box that keeps its class."""


class GrabCutParams(Params):
    """Parameters of the seeds ``grabcut`` and ``grabcut_strokes``."""

    iterations: int = Field(5, ge=1)
    """GrabCut iterations per box or class."""
    edges: Path | None = None
    """``grabcut``: a folder of edge-probability images ``<id>.png``, 0 to 255 (GrabCut+)."""


class GrabCutVotesParams(Params):
    """Parameters of the seed ``grabcut_votes``."""

    votes: int = Field(150, ge=1)
    """Perturbed runs per box."""
    edges: Path | None = None
    """A folder of edge-probability images ``<id>.png``, 0 to 255 (GrabCut+^i)."""


class RandomWalkerParams(Params):
    """Parameters of the seed ``random_walker``."""

    beta: float = Field(0.1, ge=0)
    """Larger values follow edges more strictly, per squared Lab unit."""
    confidence: float = Field(0.5, ge=0, lt=1)
    """A pixel whose best class has at most this probability is IGNORE."""


class SuperpixelVotesParams(Params):
    """Parameters of the seed ``superpixel_votes``."""

    count: int = Field(400, ge=1)
    """Approximate number of superpixels per image."""
    spread: float = Field(20, ge=0)
    """Change of colour in Lab units over which a superpixel without a mark takes the class of
    others; 0 leaves it IGNORE.
    """


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
    grabcut_votes: GrabCutVotesParams = GrabCutVotesParams()
    random_walker: RandomWalkerParams = RandomWalkerParams()
    superpixel_votes: SuperpixelVotesParams = SuperpixelVotesParams()
    plugins: dict[str, dict[str, Any]] = Field({})
    """Parameters of seeds of other packages, by the seed's name."""

    @property
    def folders(self) -> list[Path]:
        """The folders of files ``<id>.png`` that seeds read besides the data set."""
        folders = (self.folder, self.grabcut.edges, self.grabcut_votes.edges)
        return [folder for folder in folders if folder]


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
    flip: bool = True
    """Add the maps of the mirrored images."""
    stride: int = Field(4, ge=1, le=32)
    """Side in pixels of a cell of the stored maps."""
    affinity: Literal["none", "par", "colour", "boundary", "learned"] = "colour"
    """How maps are propagated before they become labels: "none", "par", or a random walk along
    "colour", up to a "boundary", or along an affinity "learned" from confident labels.
    """
    walk: WalkParams = WalkParams()
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
    """What sharpens both: "crf", "par", "none", or the name of a plug-in."""
    confidence: float | None = Field(0.7, gt=0.5, lt=1)
    """``crf``: probability that the leading class gets as evidence; null uses the maps themselves.
    """
