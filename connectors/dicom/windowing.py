"""The grey pipeline of PS3.3 C.11 (modality, value of interest, presentation) to 8 bits, frame by frame."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from s2sw.connectors.dicom.header import ImageHeader, number, text
from s2sw.connectors.grey import Frame, Grey, Levels, Transfer, histogram, linear, percentile_range, render
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

CT_WINDOWS = {"lung": (-600.0, 1500.0), "soft_tissue": (40.0, 400.0), "bone": (400.0, 1800.0)}
"""Centre and width in Hounsfield units."""

View = tuple[str, Grey, tuple[str, ...]]
"""Its name ("" for the frame's own), pixels (rows, cols), what was applied."""


@dataclass(frozen=True, slots=True)
class Table:
    """A look-up table (PS3.3 C.11.1.1, C.11.2.1.1): ``data[0]`` is the output of input ``first``."""

    first: int
    data: Levels
    top: float

    def __call__(self, values: Levels) -> Levels:
        """Map values; below the first entry to the first, above the last to the last."""
        return self.data[np.clip(values - self.first, 0, len(self.data) - 1).astype(np.intp)]


def read_table(item: Dataset, little: bool, signed: bool) -> Table | None:
    """Return the table of a LUT sequence item; None if it is incomplete. Raises MALFORMED."""
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or data is None or len(descriptor) != 3:
        return None
    entries, first, bits = int(descriptor[0]) or 1 << 16, int(descriptor[1]), int(descriptor[2])
    if signed and first >= 1 << 15:
        first -= 1 << 16
    if isinstance(data, bytes):
        kind = np.uint8 if len(data) < 2 * entries else np.dtype("<u2" if little else ">u2")
        values = np.frombuffer(data, kind, count=min(entries, len(data) // np.dtype(kind).itemsize))
    else:
        values = np.atleast_1d(np.asarray(data, dtype=np.float64))[:entries]
    if not len(values) or not 1 <= bits <= 16:
        raise ScreeningError(Reason.MALFORMED, "look-up table without entries or depth")
    return Table(first, values.astype(np.float64), float((1 << bits) - 1))


def modality(values: Levels, groups: Dataset, table: Table | None) -> Levels:
    """Apply the Modality LUT, which beats slope and intercept (PS3.3 C.11.1)."""
    if table is not None:
        return table(values)
    slope, intercept = number(groups, "RescaleSlope"), number(groups, "RescaleIntercept")
    if slope is None or intercept is None or not np.isfinite((slope, intercept)).all() or slope == 0:
        return values
    return values * slope + intercept


def window(values: Levels, centre: float, width: float, function: str = "LINEAR") -> Grey:
    """Apply a window to 0..255: LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values - centre) / width, -700, 700)
        return np.rint(255 / (1 + np.exp(exponent))).astype(np.uint8)
    if function == "LINEAR_EXACT":
        return linear(values, centre - width / 2, centre + width / 2)
    if width <= 1:
        return np.where(values > centre - 0.5, 255, 0).astype(np.uint8)
    return linear(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


class GreyPipeline:
    """Renders the monochrome frames of one object; the attributes of each frame come in ``groups``."""

    def __init__(self, header: ImageHeader, dataset: Dataset, little: bool, settings: DecodeSettings) -> None:
        self._header, self._settings, self._little = header, settings, little
        shape = text(dataset, "PresentationLUTShape")
        # MONOCHROME1 and INVERSE both say that the lowest value is white; together they say it once
        self._invert = header.photometric == "MONOCHROME1" or shape == "INVERSE"
        self._padding = self._padding_range(dataset)

    def _padding_range(self, dataset: Dataset) -> tuple[float, float] | None:
        """Return the stored values that mean "no pixel here" (PS3.3 C.7.5.1.1.2), ends included."""
        value = number(dataset, "PixelPaddingValue")
        if value is None:
            return None
        limit = number(dataset, "PixelPaddingRangeLimit")
        wrap = 1 << self._header.bits_allocated if self._header.signed else 0
        half = wrap / 2
        ends = [
            end - wrap if wrap and end >= half else end for end in (value, value if limit is None else limit)
        ]
        return min(ends), max(ends)

    def __call__(self, frame: Frame, groups: Dataset) -> list[View]:
        """Return the views of one frame: its own, then the fixed CT windows if they are asked for.

        frame: stored values (rows, cols). groups: the attributes that hold for this frame.
        """
        table = self._table(groups, "ModalityLUTSequence")
        applied = ["modality_lut"] if table else ["rescale"] if "RescaleSlope" in groups else []
        keep = self._inside(frame)
        if keep is not None:
            applied.append("padding")
        voi, name = self._value_of_interest(frame, keep, groups, table)
        views = {"": (voi, [*applied, *name, *(["invert"] if self._invert else [])])}
        if self._settings.ct_windows and text(groups, "Modality") == "CT" and "rescale" in applied:
            for view, (centre, width) in CT_WINDOWS.items():
                views[view] = partial(window, centre=centre, width=width), [*applied, f"window_{view}"]
        rendered = []
        for view, (transfer, names) in views.items():
            pixels = render(frame, partial(self._grey, groups, table, transfer, "invert" in names))
            if keep is not None:
                pixels[~keep] = 0
            rendered.append((view, pixels, tuple(names)))
        return rendered

    @staticmethod
    def _grey(groups: Dataset, table: Table | None, voi: Transfer, invert: bool, values: Levels) -> Grey:
        grey = voi(modality(values, groups, table))
        return np.subtract(255, grey, dtype=np.uint8) if invert else grey

    def _inside(self, frame: Frame) -> NDArray[np.bool_] | None:
        """Return which samples are no padding; None if all are, or none is."""
        if self._padding is None:
            return None
        low, high = self._padding
        keep = np.asarray((frame < low) | (frame > high))
        return keep if keep.any() and not keep.all() else None

    def _table(self, groups: Dataset, keyword: str) -> Table | None:
        sequence = groups.get(keyword)
        return read_table(sequence[0], self._little, self._header.signed) if sequence else None

    def _value_of_interest(
        self, frame: Frame, keep: NDArray[np.bool_] | None, groups: Dataset, table: Table | None
    ) -> tuple[Transfer, list[str]]:
        """Return how modality values become grey: VOI LUT, window, 8 bits as they are, or percentiles."""
        voi_table = self._table(groups, "VOILUTSequence")
        if voi_table is not None:
            return (lambda values: linear(voi_table(values), 0, voi_table.top)), ["voi_lut"]
        centre, width = number(groups, "WindowCenter"), number(groups, "WindowWidth")
        if centre is not None and width is not None and width > 0 and np.isfinite((centre, width)).all():
            function = text(groups, "VOILUTFunction") or "LINEAR"
            return partial(window, centre=centre, width=width, function=function), ["window"]
        if self._is_display_ready(groups, table):
            return partial(linear, low=0, high=255), []
        levels, counts = histogram(frame, keep)
        low, high = percentile_range(modality(levels, groups, table), counts, self._settings.percentiles)
        return partial(linear, low=low, high=high), ["percentile"]

    def _is_display_ready(self, groups: Dataset, table: Table | None) -> bool:
        """Tell whether stored values are 8-bit greys as they are: nothing in the object maps them further."""
        header = self._header
        plain = number(groups, "RescaleSlope", 1.0) == 1 and number(groups, "RescaleIntercept", 0.0) == 0
        whole = header.bits_stored == 8 and not header.signed and header.pixel_keyword == "PixelData"
        return whole and plain and table is None
