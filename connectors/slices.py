"""What every decoder yields: upright 8-bit pictures, one after another."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.geometry import UNKNOWN_PLANE, Geometry
from s2sw.schemas.decoding import DecodeSettings

UID_KINDS = ("study", "series", "instance")
"""What an object may be part of or be, in the order of ``ObjectFacts.uids``."""


@dataclass(frozen=True, slots=True)
class Original:
    """What a slice was made from, for whoever asks the decoder for it.

    values: samples as stored, (rows, cols) of any integer or float type, upright as the pixels are; None of
        colours, and of files of more than 8 bits whose reader does not keep them. May be read-only, and a
        view of the object.
    slope, intercept: from there to values of the modality, linearly. unit: of these, a code of PS3.3
        C.11.1.1.2 such as ``HU``, or "".
    inverted: whether the lowest value is white.
    """

    values: NDArray[Any] | None = None
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What holds of an object as a whole; all of its slices share one.

    uids: what names the object's study, series and instance (``UID_KINDS``), as SHA-256 digests; b"" where
        there is none, () for a format that has none.
    patient: SHA-256 of what names the patient; b"" where nothing does.
    """

    uids: tuple[bytes, ...] = ()
    patient: bytes = b""


NO_FACTS = ObjectFacts()


@dataclass(frozen=True, slots=True)
class Slice:
    """One two-dimensional picture of an object.

    pixels: uint8, (rows, cols) for grey or (rows, cols, 3) for RGB, upright, ready to look at; may be
        read-only.
    plane: what the slice is within its object: ``image``, ``page``, ``frame``, ``axial``, ``coronal``,
        ``sagittal``; a fixed CT window adds its name (``frame/lung``).
    modality, body_part: the object's own codes, not yet checked against the closed lists.
    applied: names of the conversions made, in order (``rescale``, ``window``, ``invert``, ...).
    full_size: (rows, cols) of the object's own picture where it was decoded at a fraction of its size.
    facts: what holds of its object as a whole.
    geometry: where the pixels lie, as far as the object says.
    original: what it was made from, where the decoder was asked for that.
    """

    pixels: NDArray[np.uint8]
    plane: str
    modality: str = ""
    body_part: str = ""
    applied: tuple[str, ...] = field(default=())
    full_size: tuple[int, int] | None = None
    facts: ObjectFacts = NO_FACTS
    geometry: Geometry = UNKNOWN_PLANE
    original: Original | None = None


class Decoder(Protocol):
    """One family of formats: bytes in, slices out, one at a time so that no volume is held whole.

    Raises ``s2sw.schemas.outcomes.ScreeningError`` with a reason for whatever cannot become slices; it may do
    so after some slices, and then the whole object counts as not screened.
    """

    name: str

    def __call__(self, data: bytes, settings: DecodeSettings) -> Iterator[Slice]:
        """Yield the slices of one object in order."""
        ...
