"""Parameters of seeds and of class activation maps."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator

from wsseg.errors import InputError
from wsseg.foundation.params import ModelName, SamParams
from wsseg.networks.params import Folds
from wsseg.params import Params


def _synonyms(names: Any) -> Any:
    if not isinstance(names, dict):
        return names
    return {name: [words] if isinstance(words, str) else words for name, words in names.items()}


Synonyms = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_synonyms)]
"""One phrase or several for some classes, by the name of the class."""


class BoxInnerParams(Params):
    """Parameters of the seed ``box_inner``."""

    share: float = Field(0.2, gt=0, le=1)
    """Share of the area of the box, in its middle, that keeps its class; the rest becomes IGNORE.
    """


class GrabCutParams(Params):
    """Parameters of the seeds ``grabcut``, ``grabcut_votes`` and ``grabcut_strokes``."""

    iterations: int = Field(5, ge=1)
    """Largest number of GrabCut iterations per box or class; ``grabcut_votes`` cuts once a vote."""
    edges: Path | None = None
    """Folder of edge probabilities, grayscale images ``<id>.png`` of 0 to 255, that ``grabcut`` and
    ``grabcut_votes`` use beside the colours (GrabCut+).
    """


class DINOParams(Params):
    """The model of the seed ``dino_walker``, or of ``cam.affinity: dino``."""

    model: ModelName | None = None
    """DINOv2 or DINOv3: a folder with its weights, or a name on the Hugging Face Hub, such as
    "facebook/dinov2-small".
    """


class CLIPParams(Params):
    """Activation maps by CLIP, for ``cam.method: clip``."""

    model: ModelName | None = None
    """A folder with the weights of a vision transformer, or a name on the Hugging Face Hub, such as
    "openai/clip-vit-base-patch16".
    """
    prompt: str = "a clean origami {}."
    """The text of a class; its name stands in place of {}."""
    names: Synonyms = Field({})
    """Words in place of the names of some classes, such as {sofa: [sofa, couch]}; several words are
    averaged. Needed where names are codes.
    """
    background: tuple[str, ...] = (
        *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water"),
        *("river", "sea", "railway", "railroad", "keyboard", "helmet", "cloud", "house"),
        *("mountain", "ocean", "road", "rock", "street", "valley", "bridge", "sign"),
    )
    """Words for the background, which compete with the classes; names of classes are left out."""

    @model_validator(mode="after")
    def _check_prompt(self) -> Self:
        if "{}" not in self.prompt:
            hint = "write {} where the name of the class belongs"
            raise InputError(f"cam.clip.prompt {self.prompt!r} contains no {{}}", hint=hint)
        return self


class SAM3TextParams(Params):
    """Activation maps by SAM 3 with the names of the classes, for ``cam.method: sam3``."""

    model: ModelName | None = None
    """A folder with its weights, or a name on the Hugging Face Hub, such as "facebook/sam3"."""
    names: Synonyms = Field({})
    """Words in place of the names of some classes; of several words the strongest map counts."""


class SeedParams(Params):
    """Parameters of the first label maps from boxes, points, scribbles and polygons."""

    name: str = "auto"
    """Method of the first label maps. "auto" applies the method ``boxes`` to boxes, and the method
    ``strokes`` to marks in the pixels that boxes leave open. Of boxes: "box", "box_inner",
    "grabcut", "grabcut_votes", "intersection"; of marks: "strokes", "grabcut_strokes",
    "random_walker", "dino_walker", "superpixel_votes"; of both: "sam"; "folder" reads them; or the
    name of a plug-in.
    """
    boxes: str = "grabcut"
    """Method of "auto" for boxes, and of objects for which "sam" fails."""
    strokes: str = "strokes"
    """Method of "auto" for points, scribbles and polygons, and where "sam" fails on them. "strokes"
    labels what is drawn and leaves the rest to the first network, which spreads it better.
    """
    sources: tuple[str, str] = ("grabcut", "grabcut_votes")
    """The two methods of "intersection", which keeps the objects that both find."""
    folder: Path | None = None
    """Folder of "folder" with label maps ``<id>.png`` of another program (SAM, MCG, ...)."""
    grabcut: GrabCutParams = GrabCutParams()
    box_inner: BoxInnerParams = BoxInnerParams()
    sam: SamParams = SamParams()
    dino: DINOParams = DINOParams()
    plugins: dict[str, dict[str, Any]] = Field({})
    """Parameters of methods of other packages, by their names."""

    @property
    def folders(self) -> list[Path]:
        """The folders of files ``<id>.png`` that seeds read besides the data set."""
        return [folder for folder in (self.folder, self.grabcut.edges) if folder]

    @property
    def inputs(self) -> dict[str, Any]:
        """The settings that label maps depend on."""
        excluded: Any = {"sam": {"batch_size", "cache"} if "sam" in self.used else True}
        return self.model_dump(mode="json", exclude=excluded)

    @property
    def used(self) -> set[str]:
        """The names of the methods that make the label maps, those of combinations among them."""
        names = {self.name}
        if names & {"auto", "sam"}:
            names |= {self.boxes, self.strokes}
        return names | {*self.sources} if "intersection" in names else names


class CAMParams(Params):
    """Class activation maps of tagged images, and the first label maps that are made from them."""

    method: str = "cam"
    """"cam", "gradcam", "gradcam++" or "layercam" of a classifier that is trained on the tags;
    "clip" or "sam3", which know the classes by their names; or the name of a plug-in.
    """
    scales: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 1.5, 2.0), min_length=1)
    """Factors of the image size; the maps at all of them are summed. "clip" and "sam3" have sizes
    of their own.
    """
    clip: CLIPParams = CLIPParams()
    sam3: SAM3TextParams = SAM3TextParams()
    affinity: Literal["none", "par", "pamr", "colour", "boundary", "learned", "dino"] = "colour"
    """Propagation of the maps to similar pixels before they become labels: "none"; "par" or "pamr"
    (pixel-adaptive refinement); or a random walk along "colour", along colour up to a "boundary",
    along an affinity "learned" from confident labels, or among similar features of "dino".
    """
    dino: DINOParams = DINOParams()
    groups: Folds = 0
    """Number of groups of classes, 2 to 5, or 0. For each, a network learns objects and background
    from the images without these classes, and lowers their maps where it sees background, such as
    the water around boats. It is trained like the segmenter.
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
    """Refiner of the scores before both decisions: "crf", "par", "pamr", "sam", "none", or the name
    of a plug-in.
    """
