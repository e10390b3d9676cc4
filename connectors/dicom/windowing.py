"""The grey pipeline of PS3.3 C.11 (modality, value of interest, presentation) to 8 bits, frame by frame."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from s2sw.connectors.dicom.header import ImageHeader, number, numbers, text
from s2sw.connectors.dicom.tables import Table, read_table
from s2sw.connectors.grey import Frame, Grey, Levels, Transfer, histogram, linear, percentile_range, render
from s2sw.schemas.decoding import DecodeSettings

CT_WINDOWS = {"lung": (-600.0, 1500.0), "soft_tissue": (40.0, 400.0), "bone": (400.0, 1800.0)}
"""Centre and width in Hounsfield units."""

View = tuple[str, Grey, tuple[str, ...]]
"""Its name ("" for the frame's own), pixels (rows, cols), what was applied."""


def rescale(groups: Dataset) -> tuple[float, float] | None:
    """Return slope and intercept; the one that is absent changes nothing. None if there are none to apply."""
    slope, intercept = number(groups, "RescaleSlope", 1.0), number(groups, "RescaleIntercept", 0.0)
    if slope is None or intercept is None or not np.isfinite((slope, intercept)).all() or slope == 0:
        return None
    return slope, intercept


def modality(values: Levels, groups: Dataset, table: Table | None) -> Levels:
    """Apply the Modality LUT, which beats slope and intercept (PS3.3 C.11.1)."""
    if table is not None:
        return table(values)
    found = rescale(groups)
    return values if found is None else values * found[0] + found[1]


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


@dataclass(frozen=True, slots=True)
class Window:
    """The window that an object is shown with, its function as it is applied, and notes on the choice."""

    centre: float
    width: float
    function: str
    notes: tuple[str, ...]


def read_window(groups: Dataset) -> tuple[Window | None, tuple[str, ...]]:
    """Return the first window, None if there is none that can be meant; and then what was ignored.

    LINEAR asks for a width of 1 at least (PS3.3 C.11.2.1.2.1): one that is smaller means LINEAR_EXACT.
    """
    centres, widths = numbers(groups, "WindowCenter"), numbers(groups, "WindowWidth")
    if not centres and not widths:
        return None, ()
    if not centres or not widths or not np.isfinite((centres[0], widths[0])).all() or widths[0] <= 0:
        return None, ("window_ignored",)
    function, notes = text(groups, "VOILUTFunction") or "LINEAR", ["window"]
    if len(centres) > 1:
        notes.append("first_window")
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function, notes = "LINEAR", [*notes, "voi_function_ignored"]
    if function == "LINEAR" and widths[0] < 1:
        function, notes = "LINEAR_EXACT", [*notes, "linear_exact"]
    return Window(centres[0], widths[0], function, tuple(notes)), ()


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
        table, applied = self._modality(groups)
        keep = self._inside(frame)
        if keep is not None:
            applied.append("padding")
        pixels, names = self._own_view(frame, keep, groups, table)
        views = [("", pixels, (*applied, *names, *(["invert"] if self._invert else [])))]
        if self._settings.ct_windows and text(groups, "Modality") == "CT" and "rescale" in applied:
            for view, (centre, width) in CT_WINDOWS.items():
                transfer = partial(window, centre=centre, width=width)
                views.append(
                    (view, self._render(frame, groups, table, transfer, False), (*applied, f"window_{view}"))
                )
        if keep is not None:
            for _, pixels, _ in views:
                pixels[~keep] = 0
        return views

    def _modality(self, groups: Dataset) -> tuple[Table | None, list[str]]:
        """Return the Modality LUT if there is one, and how stored values become modality values, by name."""
        sequence = groups.get("ModalityLUTSequence")
        table = read_table(sequence[0], self._little, self._header.signed) if sequence else None
        if table is not None:
            return table, ["modality_lut"]
        named = "RescaleSlope" in groups or "RescaleIntercept" in groups
        return None, (["rescale"] if rescale(groups) else ["rescale_ignored"]) if named else []

    def _own_view(
        self, frame: Frame, keep: NDArray[np.bool_] | None, groups: Dataset, table: Table | None
    ) -> tuple[Grey, list[str]]:
        """Render a frame as its object asks, or by percentiles where that would leave nothing to see."""
        transfer, names = self._value_of_interest(frame, keep, groups, table)
        pixels = self._render(frame, groups, table, transfer, self._invert)
        if "percentile" in names or not is_constant(pixels, keep) or is_constant(frame, keep):
            return pixels, names
        names = [*names, "window_leaves_constant"]
        if (
            text(groups, "Modality") == "CT"
            and rescale(groups)
            and bool((pixels == (255 if self._invert else 0)).any())
        ):
            return pixels, names  # a slice of air alone is black in any window
        transfer = self._percentiles(frame, keep, groups, table)
        return self._render(frame, groups, table, transfer, self._invert), [*names, "percentile"]

    def _render(
        self, frame: Frame, groups: Dataset, table: Table | None, transfer: Transfer, invert: bool
    ) -> Grey:
        return render(frame, partial(self._grey, groups, table, transfer, invert))

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

    def _value_of_interest(
        self, frame: Frame, keep: NDArray[np.bool_] | None, groups: Dataset, table: Table | None
    ) -> tuple[Transfer, list[str]]:
        """Return how modality values become grey: VOI LUT, window, 8 bits as they are, or percentiles."""
        sequence = groups.get("VOILUTSequence")
        voi_table = (
            read_table(sequence[0], self._little, self._signed_output(groups, table)) if sequence else None
        )
        if voi_table is not None:
            return (lambda values: linear(voi_table(values), 0, voi_table.top)), ["voi_lut"]
        found, ignored = read_window(groups)
        if found is not None:
            transfer = partial(window, centre=found.centre, width=found.width, function=found.function)
            return transfer, list(found.notes)
        if self._is_display_ready(groups, table):
            return partial(linear, low=0, high=255), list(ignored)
        return self._percentiles(frame, keep, groups, table), [*ignored, "percentile"]

    def _percentiles(
        self, frame: Frame, keep: NDArray[np.bool_] | None, groups: Dataset, table: Table | None
    ) -> Transfer:
        levels, counts = histogram(frame, keep)
        low, high = percentile_range(modality(levels, groups, table), counts, self._settings.percentiles)
        return partial(linear, low=low, high=high)

    def _signed_output(self, groups: Dataset, table: Table | None) -> bool:
        """Tell whether modality values may be negative, which the first input of a VOI LUT then is too."""
        if table is not None:
            return False
        lowest = -(1 << self._header.bits_stored - 1) if self._header.signed else 0
        slope, intercept = rescale(groups) or (1.0, 0.0)
        return lowest * slope + intercept < 0

    def _is_display_ready(self, groups: Dataset, table: Table | None) -> bool:
        """Tell whether stored values are 8-bit greys as they are: nothing in the object maps them further."""
        header = self._header
        whole = header.bits_stored == 8 and not header.signed and header.pixel_keyword == "PixelData"
        return whole and (rescale(groups) or (1.0, 0.0)) == (1.0, 0.0) and table is None


def is_constant(frame: Frame, keep: NDArray[np.bool_] | None) -> bool:
    """Tell whether all samples that count are one value; of a frame that is not finite nothing is asked."""
    samples = frame.reshape(-1) if keep is None else frame[keep]
    return bool(samples.size == 0 or not (samples[0] != samples[1:]).any())
