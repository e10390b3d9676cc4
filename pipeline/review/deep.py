"""A slice at its own depth and size: the values that it was made from, as the page may show them."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.dicom.windows import CT_WINDOWS
from s2sw.connectors.geometry import UNKNOWN_PLANE, Geometry
from s2sw.connectors.grey import histogram, percentile_range, span
from s2sw.connectors.slices import Original, Slice
from s2sw.pipeline.imaging.encoding import Pixels
from s2sw.schemas.outcomes import ScreeningError

MOST_PIXELS = 1 << 25
"""Of a slice whose values, or whose picture at native size, the page holds and sends."""
PERCENTILES = {
    "0.5 to 99.5 %": (0.5, 99.5), "1 to 99 %": (1.0, 99.0), "5 to 95 %": (5.0, 95.0), "All": (0.0, 100.0),
}  # fmt: skip
"""Presets of windows over the slice's own values."""
HOUNSFIELD = {
    "Brain": (40.0, 80.0), "Lung": CT_WINDOWS["lung"], "Bone": CT_WINDOWS["bone"],
    "Soft tissue": CT_WINDOWS["soft_tissue"],
}  # fmt: skip
"""Presets of CT, centre and width in Hounsfield units."""

COLOURS = "A colour picture has no window."
TOO_LARGE = f"The slice has more than {MOST_PIXELS // 1_000_000} million pixels: values are not sent."
NOT_KEPT = (
    "The grey values are those of the picture that was screened, 8 bits: of this format no others are kept."
)


@dataclass(frozen=True, slots=True)
class Deep:
    """What the page needs of a slice beyond its picture.

    full: the picture at native size, where that is larger than the page's usual one. values: uint8, int16,
    uint16 or float32 (rows, cols), little endian; None where ``why`` says why not. original: their meaning,
    without values of its own. geometry: where the pixels lie. why: words for the reviewer; may stand beside
    values.
    """

    full: Pixels | None
    values: NDArray[Any] | None
    original: Original
    geometry: Geometry = UNKNOWN_PLANE
    why: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(part.nbytes for part in (self.full, self.values) if part is not None)


def deep_of(picture: Slice, side: int) -> Deep:
    """Return what the page needs of a slice that was decoded with its original.

    side: of the usual picture, pixels. Arrays are copies, so that the whole object need not stay in memory.
    """
    pixels, original = picture.pixels, picture.original or Original()
    meaning, where = replace(original, values=None), picture.geometry
    if pixels.shape[0] * pixels.shape[1] > MOST_PIXELS:
        return Deep(None, None, meaning, where, TOO_LARGE)
    full = pixels.copy() if max(pixels.shape) > side else None
    if original.values is not None:
        return Deep(full, _sent(original.values), meaning, where)
    if pixels.ndim == 3:
        return Deep(full, None, meaning, where, COLOURS)
    why = NOT_KEPT if "percentile" in picture.applied else ""
    return Deep(full, _sent(pixels), meaning, where, why)


def _sent(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a type that browsers have."""
    for kind in ("u1", "<i2", "<u2"):
        if values.dtype.kind in "iub" and values.size and _fits(values, kind):
            return np.array(values, dtype=kind, order="C")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(values, dtype="<f4", order="C")


def _fits(values: NDArray[Any], kind: str) -> bool:
    limits = span(values)
    info = np.iinfo(kind)
    return limits is not None and info.min <= limits[0] and limits[1] <= info.max


def facts(deep: Deep) -> dict[str, Any]:
    """Return what the page's script is told of a slice; all numbers are finite."""
    plane = deep.geometry
    found: dict[str, Any] = {
        "spacing": plane.spacing,
        "inPatient": plane.in_patient,
        "aspect": plane.aspect,
        "marks": plane.marks,
        "why": deep.why,
        "values": None,
    }
    scaled = math.isfinite(deep.original.slope) and math.isfinite(deep.original.intercept)
    if deep.values is not None and not scaled:
        found["why"] = "The rescaling that the file names is no number."
    elif deep.values is not None:
        try:
            found["values"] = _meaning(deep.values, deep.original)
        except ScreeningError:
            found["why"] = "The slice has no finite value."
    return found


def _meaning(values: NDArray[Any], original: Original) -> dict[str, Any]:
    return {
        "kind": {"u1": "Uint8", "i2": "Int16", "u2": "Uint16", "f4": "Float32"}[values.dtype.str[1:]],
        "slope": original.slope,
        "intercept": original.intercept,
        "unit": original.unit,
        "inverted": original.inverted,
        "presets": _presets(values, original),
    }


def _presets(values: NDArray[Any], original: Original) -> list[tuple[str, float, float]]:
    """Return names of windows with centre and width, in values of the modality."""
    levels, counts = histogram(values)
    with np.errstate(over="ignore", invalid="ignore"):
        levels = levels * original.slope + original.intercept
    ranges = {name: percentile_range(levels, counts, ends) for name, ends in PERCENTILES.items()}
    own = {name: ((low + high) / 2, high - low) for name, (low, high) in ranges.items()}
    known = HOUNSFIELD if original.unit == "HU" else {}
    return [
        (name, centre, width)
        for name, (centre, width) in (known | own).items()
        if math.isfinite(centre) and math.isfinite(width) and width > 0
    ]
