"""What every decoder yields: upright 8-bit pictures, one after another."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.geometry import UNKNOWN_PLANE, Geometry
from s2sw.schemas.decoding import DecodeSettings

UID_KINDS = ("study", "series", "instance")
"""The kinds of ids in ``ObjectFacts.uids``, in their order."""


@dataclass(frozen=True, slots=True)
class Original:
    """The values that a slice was made from; decoders return them only if asked to.

    values: samples as stored, (rows, cols) of any integer or float type, upright as the pixels are; None for
        colours, and for files of more than 8 bits whose reader does not keep them. May be read-only, and a
        view of the object.
    slope, intercept: ``values * slope + intercept`` are values of the modality. unit: their unit, a code of
        PS3.3 C.11.1.1.2 such as ``HU``, or "".
    inverted: whether the lowest value is white.
    """

    values: NDArray[Any] | None = None
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """Facts about an object as a whole; all of its slices share one instance.

    uids: SHA-256 digests of the UIDs of study, series and instance (``UID_KINDS``); b"" for a missing one, ()
        for a format without UIDs.
    patient: SHA-256 of the patient's id; b"" without one.
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
    modality, body_part, view_position, laterality, series_kind: the object's own codes, not yet checked
        against the closed lists.
    applied: names of the conversions made, in order (``rescale``, ``window``, ``invert``, ...).
    full_size: (rows, cols) of the full picture, if it was decoded at reduced size; else None.
    facts: facts about its object as a whole.
    geometry: where the pixels lie, as far as the object says.
    original: the values that it was made from, if the decoder was asked for them.
    """

    pixels: NDArray[np.uint8]
    plane: str
    modality: str = ""
    body_part: str = ""
    view_position: str = ""
    laterality: str = ""
    series_kind: tuple[str, ...] = ()
    applied: tuple[str, ...] = field(default=())
    full_size: tuple[int, int] | None = None
    facts: ObjectFacts = NO_FACTS
    geometry: Geometry = UNKNOWN_PLANE
    original: Original | None = None


class Decoder(Protocol):
    """A decoder of one family of formats. It yields slices one at a time, so that no volume is held whole.

    Raises ``s2sw.schemas.outcomes.ScreeningError`` with a reason if slices cannot be decoded. If it raises
    after some slices, the whole object counts as not screened.
    """

    name: str

    def __call__(self, data: bytes, settings: DecodeSettings) -> Iterator[Slice]:
        """Yield the slices of one object in order."""
        ...
