"""Parameters of an audit."""

from typing import Literal

from pydantic import Field

from wsseg.stages.params import ImageFileParams


class AuditParams(ImageFileParams):
    """Parameters of an audit and of the findings that are shown and exported."""

    stage: str | None = None
    """The stage whose network predicts, such as "round-1"; null is the last complete round."""
    folds: int | None = Field(None, ge=2)
    """Number of networks to train for the audit, each without one part of the images; null uses
    the network of the run and trains nothing. See ``train_fold_networks``.
    """
    weak: Literal["boxes", "tags", "boxes_as_tags", "all", "masks", "none"] | None = None
    """The annotations that are audited, as ``data.weak``, together with those of
    ``data.annotations``; null is what the run learned from.
    """
    min_score: float = Field(0.2, ge=0, le=1)
    """Findings with a lower score are left out."""
    limit: int = Field(200, ge=1)
    """Number of findings on the page and in an export, the worst first."""
    workers: int | None = Field(None, ge=1)
    """Processes; null is the setting of the run."""
