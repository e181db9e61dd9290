"""Kinds of foundation models that wsseg can use, and the licences of their published weights."""

from dataclasses import dataclass

APACHE, MIT = "Apache-2.0", "MIT"
SAM_LICENCE = "SAM License (gated, with restrictions of use)"
DINO_LICENCE = "DINOv3 License (gated, with restrictions of use)"


@dataclass(frozen=True)
class Kind:
    """A kind of model, by the ``model_type`` of its file ``config.json``.

    Attributes:
        model: Name of its class in transformers.
        processor: Name of the class that prepares its input.
        licence: Licence of the weights that its authors published.
        reads_text: Whether it needs a tokenizer.
    """

    model: str
    processor: str
    licence: str
    reads_text: bool = False


_SAM2 = Kind("Sam2Model", "Sam2Processor", APACHE)
_SAM3 = Kind("Sam3TrackerModel", "Sam3TrackerProcessor", SAM_LICENCE)
_SAM3_TEXT = Kind("Sam3Model", "Sam3Processor", SAM_LICENCE, reads_text=True)

FAMILIES: dict[str, dict[str, Kind]] = {
    "SAM": {
        "sam": Kind("SamModel", "SamProcessor", APACHE),
        "sam2": _SAM2,
        "sam2_video": _SAM2,
        "sam3": _SAM3,
        "sam3_video": _SAM3,
        "sam3_tracker": _SAM3,
        "sam3_tracker_video": _SAM3,
    },
    "SAM 3 with text": {"sam3": _SAM3_TEXT, "sam3_video": _SAM3_TEXT},
    "CLIP": {"clip": Kind("CLIPModel", "CLIPProcessor", MIT, reads_text=True)},
    "DINO": {
        "dinov2": Kind("Dinov2Model", "AutoImageProcessor", APACHE),
        "dinov2_with_registers": Kind("Dinov2WithRegistersModel", "AutoImageProcessor", APACHE),
        "dinov3_vit": Kind("DINOv3ViTModel", "AutoImageProcessor", DINO_LICENCE),
        "dinov3_convnext": Kind("DINOv3ConvNextModel", "AutoImageProcessor", DINO_LICENCE),
    },
}
"""The kinds of each family, by ``model_type``. A file of the video model holds the image model."""

FAMILIES["CLIP, DINO or SAM"] = FAMILIES["CLIP"] | FAMILIES["DINO"] | FAMILIES["SAM"]


def published_licence(name: str, family: str) -> str:
    """Return the licence of published weights, as far as the name of a model tells it.

    Example:
        >>> published_licence("facebook/sam2.1-hiera-tiny", "SAM")
        'Apache-2.0'
    """
    plain = "".join(filter(str.isalnum, name.lower()))
    fitting = [t for t in FAMILIES[family] if t.replace("_", "") in plain]
    chosen = [max(fitting, key=len)] if fitting else FAMILIES[family]
    return " or ".join(dict.fromkeys(FAMILIES[family][t].licence for t in chosen))
