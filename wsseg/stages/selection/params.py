"""Parameters of ``wsseg select``."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.params import LocalPath, Params


def _split(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value


class SelectionParams(Params):
    """Number of images to choose, and the method that chooses them."""

    dataset: LocalPath
    """Folder of a data set in any format that wsseg reads."""
    annotations: tuple[LocalPath, ...] = ()
    """Files that are laid over the data set, such as points.jsonl."""
    budget: PositiveInt
    """Number of images to choose."""
    out: LocalPath
    """Folder for the list and the page: new, empty, or of an earlier selection."""
    method: Literal["medoids", "k_centre", "random"] | None = None
    """medoids (the default), k_centre (the default with --uncertainty) or random."""
    quota: NonNegativeInt | None = None
    """Chosen images that each class appears in; by default half the budget is shared among the
    classes."""
    config: LocalPath | None = None
    """YAML file whose classifier or model names the encoder."""
    encoder: Literal["classifier", "model", "run"] | None = None
    """Source of the encoder: classifier or model of the settings, or run. By default run if
    a run is named, else the section that the settings have."""
    model: str | None = None
    """CLIP, DINO or SAM model in place of the encoder: a folder, or a name on the Hugging Face Hub,
    such as facebook/dinov2-small."""
    run: LocalPath | None = None
    """Folder of a run, or a model.ckpt."""
    uncertainty: Literal["margin", "vote_entropy"] | None = None
    """Weight of the images: margin or vote_entropy of the predictions of the run."""
    scales: Annotated[tuple[PositiveFloat, ...] | None, BeforeValidator(_split)] = None
    """Scales of these predictions, such as 0.75,1; by default those of the run."""
    labelled: LocalPath | None = None
    """File with the id of a labelled image per line."""
    split: str = "train"
    """The split to choose from."""
    seed: NonNegativeInt = 0
    """The same seed gives the same list."""
    cache: LocalPath | None = None
    """Folder for embeddings and uncertainties, which are reused; by default OUT/cache."""
    workers: PositiveInt | None = None
    """Processes; one per core if not set."""
    format: str = DataParams.model_fields["format"].default
    """Format of the data set, such as voc, coco or jsonl; auto detects it."""

    @property
    def used_method(self) -> Literal["medoids", "k_centre", "random"]:
        """The method, or the default one."""
        return self.method or ("k_centre" if self.uncertainty else "medoids")

    @model_validator(mode="after")
    def _check_contradictions(self) -> Self:
        if self.model is not None and self.encoder is not None:
            raise InputError("model and encoder are both set", hint="drop one of them")
        if self.uncertainty is None and self.scales is not None:
            raise InputError("scales are set, but no uncertainty", hint="set it or drop them")
        if self.uncertainty and self.run is None:
            raise InputError("uncertainty needs a run", hint="name it")
        if self.uncertainty and self.used_method != "k_centre":
            message = f"uncertainty works with the method k_centre, not with {self.used_method}"
            raise InputError(message, hint="drop one of them")
        return self
