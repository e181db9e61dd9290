"""Parameters of a simulated annotator and of a simulated data set."""

import math
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from wsseg.errors import InputError
from wsseg.params import Params

KINDS = ("tags", "boxes", "extremes", "points", "scribbles", "blocks")
"""Kinds of annotations that can be drawn, in an order that random streams depend on."""

MASKS, NOTHING = "masks", "nothing"
_EXCLUSIVE = (MASKS, NOTHING, "blocks")

Kinds = tuple[str, ...]
"""Annotations of one image: names of ``KINDS``, or "masks" or "nothing"."""


class AnnotatorParams(Params):
    """Precision and habits of a simulated annotator."""

    length: float = Field(1.0, gt=0, le=1)
    """Share of every scribble that is kept."""
    jitter: float = Field(0.0, ge=0, lt=0.5)
    """Largest shift of a box edge, as a share of the side of the box."""
    background_points: NonNegativeInt = 1
    """Points on the background of every image with points."""
    points_per: Literal["object", "class"] = "object"
    """One point per "object", or one per "class", on its largest object."""
    min_area: PositiveInt = 9
    """Objects with fewer pixels are not annotated."""
    min_share: float = Field(1e-4, ge=0, lt=1)
    """Objects that cover a smaller share of the image are not annotated either. Below 90,000 pixels
    the default adds nothing to ``min_area``."""
    blocks: PositiveInt = 5
    """Squares of an image with blocks."""
    block_side: float = Field(0.1, gt=0, le=1)
    """Side of a square, as a share of the longer side of the image."""


class SimulationParams(AnnotatorParams):
    """Annotations to simulate, and their images; either ``kinds`` or ``mix`` is set."""

    kinds: str | None = None
    """Annotations of every image: tags, boxes, extremes, points, scribbles, blocks, masks; several
    are joined by commas, such as boxes,points."""
    mix: str | None = None
    """Shares of the images, such as boxes=0.6,points+tags=0.3,nothing=0.1."""
    split: str = "train"
    """The split to annotate."""
    format: str = "auto"
    """Format of the data set, such as voc, coco or jsonl; auto detects it."""
    seed: NonNegativeInt = 0
    """The same seed gives the same file."""
    workers: PositiveInt | None = None
    """Processes; one per core if not set."""
    overwrite: bool = False
    """Replace an existing file."""

    @property
    def shares(self) -> dict[Kinds, float]:
        """Share of the images by what they get; the shares add up to 1."""
        return {read_kinds(self.kinds): 1.0} if self.kinds is not None else read_mix(self.mix or "")

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if (self.kinds is None) == (self.mix is None):
            both = "neither" if self.kinds is None else "both"
            raise InputError(f"Of kinds and mix, {both} are set", hint="set one of them")
        _ = self.shares
        return self


def read_mix(text: str) -> dict[Kinds, float]:
    """Parse the shares of a mixture.

    Raises:
        InputError: A kind is unknown or cannot be combined with another one, a share is not a
            number, or the shares do not add up to 1.

    Example:
        >>> read_mix("boxes+points=0.25,nothing=0.75")
        {('boxes', 'points'): 0.25, ('nothing',): 0.75}
    """
    mix: dict[Kinds, float] = {}
    for part in text.split(","):
        names, _, share = part.partition("=")
        kinds = read_kinds(names, "+")
        if kinds in mix:
            raise InputError(f"The mix names {names.strip()} twice", hint="add its shares up")
        mix[kinds] = _read_share(share, part)
    if not math.isclose(total := sum(mix.values()), 1, abs_tol=1e-6):
        hint = "correct them, or give the rest to nothing"
        raise InputError(f"The shares of the mix must add up to 1, not {total:g}", hint=hint)
    return mix


def _read_share(text: str, part: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        rule, remedy = "KINDS=SHARE with a share from 0 to 1", "write boxes=0.7,nothing=0.3"
        raise InputError("mix", rule, repr(part), remedy)
    return share


def read_kinds(text: str, separator: str = ",") -> Kinds:
    """Parse the kinds of annotation that one image gets.

    Raises:
        InputError: A kind is unknown, or cannot be combined with another one.
    """
    kinds = tuple(dict.fromkeys(name.strip() for name in text.split(separator)))
    known = (*KINDS, MASKS, NOTHING)
    for kind in kinds:
        if kind not in known:
            raise InputError("kinds", f"of {', '.join(known)}", repr(kind), "choose among them")
    exclusive = [kind for kind in kinds if kind in _EXCLUSIVE]
    if (exclusive and len(kinds) > 1) or {"boxes", "extremes"} <= {*kinds}:
        rule = f"one of {', '.join(_EXCLUSIVE)} alone, or others with boxes or extremes"
        raise InputError("kinds", rule, " and ".join(kinds), "drop one of them")
    return kinds
