"""How objects are turned into slices: settings that change pixels, and limits that refuse objects."""

from typing import Literal

from pydantic import Field

from s2sw.schemas.strict import Count, Strict

DECODE_VERSION = 2
"""Raised whenever the same bytes and settings give other pixels; part of a run's fingerprint."""


class Limits(Strict):
    """Above these an object is refused before any decoder runs (reasons ``too_large`` and ``bomb``)."""

    object_bytes: Count = Field(2 << 30, description="bytes of one object as stored")
    side: Count = Field(32768, description="rows or columns of one slice, pixels")
    frame_bytes: Count = Field(
        1 << 30, description="bytes of one decoded frame (a legitimate frame of 268 MB passes)"
    )
    frames: Count = Field(20000, description="frames or slices of one object")
    inflated_bytes: Count = Field(4 << 30, description="total bytes that a compressed object may unpack to")
    inflate_ratio: Count = Field(
        256, description="unpacked bytes per stored byte, once beyond 32 MiB unpacked"
    )
    nesting: Count = Field(32, description="depth of DICOM sequences")
    seconds: float = Field(
        120,
        gt=0,
        description="seconds to decode one slice; then the process is ended, and the object is tried alone",
    )
    members: Count = Field(100_000, description="members of one zip or tar archive")


class DecodeSettings(Strict):
    """Settings of decoding that change pixels. All of them are part of a run's fingerprint."""

    percentiles: tuple[float, float] = Field(
        (0.5, 99.5), description="grey range mapped to 0..255 where the object names no window"
    )
    ct_windows: bool = Field(
        False, description="add lung, soft tissue and bone windows of CT as separate slices"
    )
    nifti_axis: Literal["auto", "sagittal", "coronal", "axial"] = Field(
        "auto", description="axis to slice volumes along; auto: the axis with the largest voxel spacing"
    )
    nifti_volumes: Literal["first", "all"] = Field("first", description="which volumes of a 4-D file")
    derived_objects: bool = Field(
        False, description="screen segmentations, dose grids and parametric maps too"
    )
    scaled: bool = Field(
        False, description="decode large JPEGs at reduced size: faster, differs by a few grey levels"
    )
    limits: Limits = Limits()
