"""Windows of DICOM objects: which is meant, and what it makes of values (PS3.3 C.11.2.1.2, C.11.2.1.3)."""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from s2sw.connectors.dicom.header import numbers, text
from s2sw.connectors.grey import Grey, Levels, linear

CT_WINDOWS = {"lung": (-600.0, 1500.0), "soft_tissue": (40.0, 400.0), "bone": (400.0, 1800.0)}
"""Centre and width in Hounsfield units."""


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
