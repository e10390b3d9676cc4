"""Which slices are flagged for review, and how long the list of a night is."""

from typing import Literal

from pydantic import Field, model_validator

from s2sw.schemas.marks import ShownText
from s2sw.schemas.strict import Count, Strict


class FlagGroup(Strict):
    """A flagging threshold for slices of one site, one modality, or both. None: any."""

    site: ShownText | None = Field(None, description="a value of the column site")
    modality: ShownText | None = Field(None, description="a code of the column modality")
    threshold: float = Field(ge=0, le=1, description="score from which these slices are flagged")


class FlagSettings(Strict):
    """Which slices are flagged for review. Not part of the fingerprint, since it changes no row."""

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="score (rank score, else image score) from which a slice is flagged; default: none is",
    )
    groups: tuple[FlagGroup, ...] = Field(
        (), description="thresholds for some sites and modalities; the first that fits a slice counts"
    )
    fdr: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="write a worklist after the run, with at most this share of false alarms",
    )
    budget: Count | None = Field(
        None, description="write a worklist of this many objects after the run; give fdr or budget, not both"
    )

    cases: Literal["study", "patient", "series"] = Field(
        "study",
        description="what a case is; of objects without it what groups.case finds, else each object is one",
    )

    @model_validator(mode="after")
    def _one_size(self) -> "FlagSettings":
        if self.fdr is not None and self.budget is not None:
            raise ValueError("fdr and budget: give only one of them, each sets the length of the worklist")
        return self

    @property
    def has_threshold(self) -> bool:
        """Whether slices are flagged by a threshold."""
        return self.threshold is not None or bool(self.groups)

    @property
    def lists(self) -> bool:
        """Whether a worklist is asked for."""
        return self.fdr is not None or self.budget is not None
