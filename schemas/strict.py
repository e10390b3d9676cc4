"""The base of all settings: frozen, no unknown keys, no infinite numbers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LARGEST = 10**15
"""Largest count or size in bytes; above it, arithmetic with times and offsets would overflow."""

Count = Annotated[int, Field(gt=0, le=LARGEST)]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys, infinities and not-a-number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
