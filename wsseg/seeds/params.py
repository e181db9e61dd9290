"""Parameters of seeds and of class activation maps."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat

from wsseg.params import Params, Range


class SeedParams(Params):
    """How annotations become first labels; see ``wsseg.seeds``.

    The ``grabcut`` settings hold for ``grabcut_votes`` and ``grabcut_strokes`` too, unless these
    have their own; ``max_side`` holds for all seeds from strokes, which shrink the whole image.
    """

    name: str = "grabcut"
    """A key of ``SEEDS``, or a plug-in's name."""
    inner: float = Field(0.2, gt=0, le=1)
    """``box_inner``: the share of the box that keeps its class."""
    inner_mode: Literal["area", "side"] = "area"
    """``box_inner``: whether ``inner`` is a share of the area or of each side."""
    iterations: int = Field(5, ge=1)
    """``grabcut``: iterations a box."""
    padding: float = Field(0.5, gt=0)
    """``grabcut`` sees the box and this share of its sides around it."""
    max_side: int = Field(400, ge=16)
    """``grabcut``: larger crops are shrunk to this longer side in pixels."""
    min_side: int = Field(9, ge=1)
    """``grabcut``: a box with a shorter side in pixels is filled, and no crop is shrunk so far that
    its box gets one.
    """
    min_fill: float = Field(0.2, ge=0, lt=1)
    """``grabcut``: a result below this share of the box's visible part has failed;
    ``grabcut_strokes``: below this share of the foreground that it started from.
    """
    frame: float = Field(0.05, gt=0, lt=0.5)
    """``grabcut``: where less than this share of a crop is surely background, the box's outer
    frame, this share of its sides wide, is the first sample of background.
    """
    votes: int = Field(150, ge=1)
    """``grabcut_votes``: perturbed runs a box."""
    votes_side: int = Field(96, ge=16)
    """``grabcut_votes``: crops are shrunk to this longer side in pixels."""
    votes_iterations: int = Field(1, ge=1)
    """``grabcut_votes``: GrabCut iterations a run."""
    jitter: float = Field(0.05, ge=0, lt=0.5)
    """``grabcut_votes``: each edge of the box moves by up to this share of its side."""
    band: Range = (0.1, 0.6)
    """``grabcut_votes``: range of the background around the box, a share of its sides."""
    foreground_votes: float = Field(0.7, gt=0, le=1)
    """``grabcut_votes``: share of votes from which a pixel is foreground."""
    background_votes: float = Field(0.2, ge=0, lt=1)
    """``grabcut_votes``: share of votes below which a pixel is background."""
    sources: tuple[str, str] = ("grabcut", "grabcut_votes")
    """``intersection``: the two seeds that must agree."""
    of_boxes: str = "grabcut"
    """``mixed``: the seed of images with boxes."""
    of_strokes: str = "grabcut_strokes"
    """``mixed``: the seed of what is marked and of what boxes leave open."""
    walker_beta: float = Field(0.1, ge=0)
    """``random_walker``: more follows edges more strictly, per squared Lab unit."""
    walker_confidence: float = Field(0.5, ge=0, lt=1)
    """``random_walker``: a class that is no likelier than this is IGNORE."""
    superpixels: int = Field(400, ge=1)
    """``superpixel_votes``: about so many superpixels an image."""
    superpixel_compactness: float = Field(10, gt=0)
    """``superpixel_votes``: higher makes them squarer."""
    superpixel_spread: float = Field(20, ge=0)
    """``superpixel_votes``: change of colour in Lab units over which a superpixel without a mark
    takes the class of others; 0 leaves it IGNORE.
    """
    folder: Path | None = None
    """``folder``: label maps ``<id>.png`` from elsewhere (SAM, MCG, ...)."""
    edges: Path | None = None
    """``grabcut``: folder of edge-probability images ``<id>.png``, 0 to 255 (GrabCut+)."""


class CAMParams(Params):
    """Class activation maps, and the first labels made from them; see ``wsseg.seeds.cam``."""

    method: str = "cam"
    """"cam", "gradcam", "gradcam++", "layercam", or a plug-in's name."""
    layer: str | None = None
    """Gradient methods: a submodule of the encoder, such as "blocks.5"; null is the feature map
    that the classifier's head sees.
    """
    scales: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 1.5, 2.0), min_length=1)
    """Factors whose maps are summed."""
    flip: bool = True
    """Whether maps of the mirrored images are summed in."""
    stride: int = Field(4, ge=1, le=32)
    """Pixels of the image a cell of the stored maps."""
    affinity: Literal["none", "par", "colour", "boundary", "learned"] = "colour"
    """What the maps spread along before they become labels: "none", "par", or a random walk along
    "colour", up to a "boundary" or along what was "learned" from confident labels; see ``walk`` and
    ``affinity``.
    """
    rule: Literal["constant", "power", "otsu"] = "constant"
    """Score of the background beside maps of 0 to 1: "constant"; "power" of 1 - maximum, such as 4
    for the foreground and 24 for the background; or "otsu", for each image the level that divides
    its maps best, the same for both.
    """
    foreground: float = Field(0.25, ge=0)
    """Confident foreground: where the class beats this constant, or power."""
    background: float = Field(0.25, ge=0)
    """Confident background: where no class beats this constant, or power."""
    refiner: str = "none"
    """What sharpens both: "crf", "par", "none", or a plug-in's name."""
    confidence: float | None = Field(0.7, gt=0.5, lt=1)
    """``crf``: probability that it is told of the class that is ahead; null tells it the maps
    themselves.
    """
