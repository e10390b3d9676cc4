"""DICOM objects to slices: layout, class, header, then frame after frame through colour or grey."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from connectors.dicom_classes import check_class, check_syntax
from connectors.dicom_frames import available_frames, frames
from connectors.dicom_grey import GreyPipeline
from connectors.dicom_groups import frame_groups
from connectors.dicom_header import ImageHeader, image_header, read_header, text
from connectors.dicom_layout import UNDEFINED, Layout, scan
from connectors.grey import Frame
from connectors.preflight import check_frames, check_geometry
from connectors.slices import Slice
from schemas.decoding import DecodeSettings, Limits
from schemas.outcomes import Reason, ScreeningError


def decode_dicom(data: bytes, settings: DecodeSettings) -> Iterator[Slice]:
    """Yield the frames of a DICOM object, displayed as its attributes ask. Raises ScreeningError."""
    layout = scan(data, settings.limits)
    dataset = read_header(layout)
    sop_class = str(dataset.get("SOPClassUID", ""))
    check_class(sop_class, layout.pixel_tag != 0, layout.truncated, settings.derived_objects)
    check_syntax(layout.transfer_syntax)
    header = image_header(dataset, layout)
    noted = _check_size(layout, header, dataset, settings.limits)
    grey = GreyPipeline(header, dataset, layout.little, settings)
    plane = "image" if header.frames == 1 else "frame"
    shown = 0
    for index, (samples, photometric) in enumerate(frames(layout, header, dataset, settings.limits)):
        groups = frame_groups(dataset, index)
        if samples.ndim == 3 or photometric == "PALETTE COLOR":
            views = [("", *_colour(samples, photometric, header, dataset))]
        else:
            views = grey(samples, groups)
        for view, pixels, applied in views:
            yield Slice(
                pixels,
                f"{plane}/{view}" if view else plane,
                modality=text(dataset, "Modality"),
                body_part=text(dataset, "BodyPartExamined"),
                applied=(*noted, *applied),
            )
        shown += 1
    if shown < header.frames and layout.truncated:
        raise ScreeningError(Reason.TRUNCATED, f"{shown} of {header.frames} frames")


def _check_size(layout: Layout, header: ImageHeader, dataset: Dataset, limits: Limits) -> tuple[str, ...]:
    """Refuse by geometry and by declared against actual bytes; return what is worth noting of the object."""
    check_geometry(header.rows, header.cols, header.samples * max(8, header.bits_allocated) / 8, limits)
    check_frames(header.frames, limits)
    noted = []
    if layout.pixel_length != UNDEFINED:
        if layout.truncated or available_frames(layout, header) < header.frames:
            raise ScreeningError(Reason.TRUNCATED, "fewer bytes of pixels than the header declares")
        if available_frames(layout, header) > header.frames:
            noted.append("excess_frames")
    if layout.forced:
        noted.append("forced")
    if any(0x60000000 <= int(tag) < 0x60200000 for tag in dataset.keys()):  # noqa: SIM118 - Dataset iterates values
        noted.append("overlay_ignored")
    if "ICCProfile" in dataset:
        noted.append("icc_ignored")
    spacing = dataset.get("PixelAspectRatio") or dataset.get("PixelSpacing")
    if spacing is not None and len(spacing) == 2 and float(spacing[0]) != float(spacing[1]):
        noted.append("non_square_pixels")
    return tuple(noted)


def _colour(
    samples: Frame, photometric: str, header: ImageHeader, dataset: Dataset
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return RGB at 8 bits and what was applied. ``samples``: RGB, or indices of a palette."""
    applied: list[str] = []
    bits = header.bits_stored
    if photometric == "PALETTE COLOR":
        samples = apply_color_lut(samples, dataset)[..., :3]
        applied.append("palette")
        bits = 16 if samples.dtype.itemsize == 2 and samples.max(initial=0) > 255 else 8
    elif header.photometric != photometric:
        applied.append("ybr")
    if bits == 8:
        return samples.astype(np.uint8), tuple(applied)
    scaled = np.rint(samples.astype(np.float32) * (255.0 / ((1 << bits) - 1)))
    return np.clip(scaled, 0, 255).astype(np.uint8), (*applied, f"bits_{bits}")
