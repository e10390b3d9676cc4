"""What an object looks like, or why it is refused; and the window formula by hand."""

from typing import Any

import numpy as np
import pytest

from s2sw.connectors.decode import decode
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.writing import (
    ds,
    element,
)

RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)


SLOPE, INTERCEPT, CENTRE, WIDTH, FUNCTION = 0x00281053, 0x00281052, 0x00281050, 0x00281051, 0x00281056


PADDING, PADDING_LIMIT, SHAPE = 0x00280120, 0x00280121, 0x20500020


HOUNSFIELD = {SLOPE: ds(SLOPE, 1), INTERCEPT: ds(INTERCEPT, -1024)}


def slices(data: bytes, **settings: Any) -> list[Slice]:
    return list(decode(data, DecodeSettings(**settings))[1])


def shown(data: bytes, **settings: Any) -> np.ndarray[Any, Any]:
    (only,) = slices(data, **settings)
    return only.pixels


def refusal(data: bytes, **settings: Any) -> Reason:
    with pytest.raises(ScreeningError) as caught:
        slices(data, **settings)
    return caught.value.reason


def windowed(values: Any, centre: float, width: float) -> np.ndarray[Any, Any]:
    """The formula of PS3.3 C.11.2.1.2.1 as it is printed there, for outputs 0 to 255."""
    x = np.asarray(values, dtype=np.float64)
    inside = ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255
    grey = np.where(
        x <= centre - 0.5 - (width - 1) / 2, 0, np.where(x > centre - 0.5 + (width - 1) / 2, 255, inside)
    )
    return np.rint(grey).astype(np.uint8)


def window(centre: float, width: float, function: str | None = None) -> dict[int, bytes]:
    extra = {CENTRE: ds(CENTRE, centre), WIDTH: ds(WIDTH, width)}
    return extra | ({FUNCTION: element(FUNCTION, "CS", function.encode())} if function else {})
