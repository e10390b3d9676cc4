"""DICOM objects to slices: layout, class, header, then frame after frame through colour or grey."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from s2sw.connectors.dicom.codecs import COMPRESSED_SYNTAXES
from s2sw.connectors.dicom.frames import available_frames, frames
from s2sw.connectors.dicom.functional_groups import frame_groups
from s2sw.connectors.dicom.header import (
    ImageHeader,
    image_header,
    numbers,
    patient_digest,
    read_header,
    strings,
    text,
    uid_digests,
)
from s2sw.connectors.dicom.layout import UNDEFINED, Layout, scan
from s2sw.connectors.dicom.originals import original_of
from s2sw.connectors.dicom.palette import Palette, read_palette
from s2sw.connectors.dicom.plane import plane_of
from s2sw.connectors.dicom.sop_classes import check_class, check_pixels, check_syntax
from s2sw.connectors.dicom.windowing import GreyPipeline
from s2sw.connectors.grey import Frame
from s2sw.connectors.preflight.limits import check_frames, check_geometry
from s2sw.connectors.slices import ObjectFacts, Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

_SUPPLEMENTAL = "RedPaletteColorLookupTableDescriptor"


def decode_dicom(data: bytes, settings: DecodeSettings, originals: bool = False) -> Iterator[Slice]:
    """Yield the frames of a DICOM object, displayed as its attributes ask. Raises ScreeningError.

    originals: with what each was made from.
    """
    layout = scan(data, settings.limits)
    dataset = read_header(layout)
    sop_class = str(dataset.get("SOPClassUID", "")) or layout.media_class
    check_class(sop_class, settings.derived_objects)
    check_syntax(layout.transfer_syntax)
    check_pixels(sop_class, layout.pixel_tag != 0, layout.truncated)
    header = image_header(dataset, layout)
    noted = _check_size(layout, header, dataset, settings.limits)
    grey = GreyPipeline(header, dataset, layout.little, settings)
    plane = "image" if header.frames == 1 else "frame"
    facts = ObjectFacts(uid_digests(dataset), patient_digest(dataset))
    shown, held = 0, None
    indexed = header.photometric == "PALETTE COLOR"
    palette = read_palette(dataset, layout.little, header.signed) if indexed else None
    codes, side = _codes(dataset), text(dataset, "ImageLaterality") or text(dataset, "Laterality")
    for index, (samples, converted) in enumerate(frames(layout, header, dataset, settings.limits)):
        groups = frame_groups(dataset, index)
        if samples.ndim == 3 or indexed:
            pixels, done = _colour(samples, header, palette)
            views = [("", pixels, (*converted, *done))]
        else:
            views = grey(samples, groups)
        original = original_of(samples, header, dataset, groups, layout.little) if originals else None
        geometry = plane_of(dataset, groups)
        for view, pixels, applied in views:
            if held is not None:
                yield held
            held = Slice(
                pixels,
                f"{plane}/{view}" if view else plane,
                **codes,
                laterality=text(groups, "FrameLaterality") or side,
                applied=(*noted, *applied),
                facts=facts,
                geometry=geometry,
                original=original,
            )
        shown += 1
    if shown < header.frames and layout.truncated:
        raise ScreeningError(Reason.TRUNCATED, f"{shown} of {header.frames} frames")
    if held is not None:
        # the fragments ended in order, so that it is the header that is wrong: noted on the last slice
        note = ("fewer_frames",) if shown < header.frames else ()
        yield replace(held, applied=(*note, *held.applied))


def _codes(dataset: Dataset) -> dict[str, Any]:
    """Return what an object says of the kind of all its frames."""
    kind = (*strings(dataset, "ImageType")[2:3], text(dataset, "AcquisitionContrast"))
    return {
        "modality": text(dataset, "Modality"),
        "body_part": text(dataset, "BodyPartExamined"),
        "view_position": text(dataset, "ViewPosition"),
        "series_kind": (*kind, *sorted(strings(dataset, "ScanningSequence"))),
    }


def _check_size(layout: Layout, header: ImageHeader, dataset: Dataset, limits: Limits) -> tuple[str, ...]:
    """Refuse by geometry and by declared against actual bytes; return what is worth noting of the object."""
    check_geometry(header.rows, header.cols, header.samples * max(8, header.bits_allocated) / 8, limits)
    check_frames(header.frames, limits)
    noted = list(header.notes)
    if layout.pixel_length != UNDEFINED:
        if layout.truncated or available_frames(layout, header) < header.frames:
            raise ScreeningError(Reason.TRUNCATED, "fewer bytes of pixels than the header declares")
        if available_frames(layout, header) > header.frames:
            noted.append("excess_frames")
        if layout.transfer_syntax in COMPRESSED_SYNTAXES:
            noted.append("native_pixels")
    if layout.forced:
        noted.append("forced")
    if any(0x60000000 <= int(tag) < 0x60200000 for tag in dataset.keys()):  # noqa: SIM118 - Dataset iterates values
        noted.append("overlay_ignored")
    if header.photometric.startswith("MONOCHROME") and _SUPPLEMENTAL in dataset:
        noted.append("supplemental_palette_ignored")
    if "ICCProfile" in dataset:
        noted.append("icc_ignored")
    spacing = numbers(dataset, "PixelAspectRatio") or numbers(dataset, "PixelSpacing")
    if len(spacing) == 2 and spacing[0] != spacing[1]:
        noted.append("non_square_pixels")
    return tuple(noted)


def _colour(samples: Frame, header: ImageHeader, palette: Palette | None) -> tuple[Frame, tuple[str, ...]]:
    """Return uint8 (rows, cols, 3) and what was applied. ``samples``: RGB, or indices of the palette."""
    if palette is not None:
        return palette(samples), ("palette",)
    if header.bits_stored == 8:
        return samples.astype(np.uint8, copy=False), ()
    out = np.empty(samples.shape, dtype=np.uint8)
    scale = 255.0 / ((1 << header.bits_stored) - 1)
    for row, line in enumerate(samples):
        out[row] = np.clip(np.rint(line * scale), 0, 255)
    return out, (f"bits_{header.bits_stored}",)
