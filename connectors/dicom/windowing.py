"""The grey pipeline of PS3.3 C.11 (modality, value of interest, presentation) to 8 bits, frame by frame."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from s2sw.connectors.dicom.header import ImageHeader, number, text
from s2sw.connectors.dicom.modality import Modality, read_modality
from s2sw.connectors.dicom.tables import read_table
from s2sw.connectors.dicom.windows import CT_WINDOWS, read_window, window
from s2sw.connectors.grey import Frame, Grey, Levels, Transfer, histogram, linear, percentile_range, render
from s2sw.schemas.decoding import DecodeSettings

View = tuple[str, Grey, tuple[str, ...]]
"""Its name ("" for the frame's own), pixels (rows, cols), what was applied."""


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
        modality = read_modality(groups, self._little, self._header.signed)
        applied = list(modality.notes)
        keep = self._inside(frame)
        if keep is not None:
            applied.append("padding")
        pixels, names = self._own_view(frame, keep, groups, modality)
        views = [("", pixels, (*applied, *names, *(["invert"] if self._invert else [])))]
        if self._settings.ct_windows and text(groups, "Modality") == "CT" and modality.rescales:
            for view, (centre, width) in CT_WINDOWS.items():
                transfer = partial(window, centre=centre, width=width)
                views.append(
                    (view, self._render(frame, modality, transfer, False), (*applied, f"window_{view}"))
                )
        if keep is not None:
            for _, pixels, _ in views:
                pixels[~keep] = 0
        return views

    def _own_view(
        self, frame: Frame, keep: NDArray[np.bool_] | None, groups: Dataset, modality: Modality
    ) -> tuple[Grey, list[str]]:
        """Render a frame as its object asks, or by percentiles where that would leave nothing to see."""
        transfer, names = self._value_of_interest(frame, keep, groups, modality)
        pixels = self._render(frame, modality, transfer, self._invert)
        if "percentile" in names or not is_constant(pixels, keep) or is_constant(frame, keep):
            return pixels, names
        names = [*names, "window_leaves_constant"]
        black = bool((pixels == (255 if self._invert else 0)).any())
        if black and modality.rescales and text(groups, "Modality") == "CT":
            return pixels, names  # a slice of air alone is black in any window
        transfer = self._percentiles(frame, keep, modality)
        return self._render(frame, modality, transfer, self._invert), [*names, "percentile"]

    @staticmethod
    def _render(frame: Frame, modality: Modality, voi: Transfer, invert: bool) -> Grey:
        def grey(values: Levels) -> Grey:
            shown = voi(modality(values))
            return np.subtract(255, shown, dtype=np.uint8) if invert else shown

        return render(frame, grey)

    def _inside(self, frame: Frame) -> NDArray[np.bool_] | None:
        """Return which samples are no padding; None if all are, or none is."""
        if self._padding is None:
            return None
        low, high = self._padding
        keep = np.asarray((frame < low) | (frame > high))
        return keep if keep.any() and not keep.all() else None

    def _value_of_interest(
        self, frame: Frame, keep: NDArray[np.bool_] | None, groups: Dataset, modality: Modality
    ) -> tuple[Transfer, list[str]]:
        """Return how modality values become grey: VOI LUT, window, 8 bits as they are, or percentiles."""
        sequence = groups.get("VOILUTSequence")
        signed = bool(sequence) and self._may_be_negative(modality)
        voi_table = read_table(sequence[0], self._little, signed) if sequence else None
        if voi_table is not None:
            return (lambda values: linear(voi_table(values), 0, voi_table.top)), ["voi_lut"]
        found, ignored = read_window(groups)
        if found is not None:
            transfer = partial(window, centre=found.centre, width=found.width, function=found.function)
            return transfer, list(found.notes)
        if self._is_display_ready(modality):
            return partial(linear, low=0, high=255), list(ignored)
        return self._percentiles(frame, keep, modality), [*ignored, "percentile"]

    def _percentiles(self, frame: Frame, keep: NDArray[np.bool_] | None, modality: Modality) -> Transfer:
        levels, counts = histogram(frame, keep)
        low, high = percentile_range(modality(levels), counts, self._settings.percentiles)
        return partial(linear, low=low, high=high)

    def _may_be_negative(self, modality: Modality) -> bool:
        """Tell whether modality values may be, so that the first input of a VOI LUT is signed."""
        if modality.table is not None:
            return False
        half = 1 << self._header.bits_stored - 1
        ends = (-half, half - 1) if self._header.signed else (0, 2 * half - 1)
        return min(end * modality.slope for end in ends) + modality.intercept < 0

    def _is_display_ready(self, modality: Modality) -> bool:
        """Tell whether stored values are 8-bit greys as they are: nothing in the object maps them further."""
        header = self._header
        whole = header.bits_stored == 8 and not header.signed and header.pixel_keyword == "PixelData"
        return whole and modality.is_plain


def is_constant(frame: Frame, keep: NDArray[np.bool_] | None) -> bool:
    """Tell whether all samples that count are one value; NaN is none."""
    samples = frame.reshape(-1) if keep is None else frame[keep]
    if samples.size == 0:
        return True
    few = samples[:: max(1, samples.size // 1000)]  # which tell of nearly every picture that it is none
    return not (few != samples[0]).any() and not (samples != samples[0]).any()
