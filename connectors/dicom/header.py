"""The attributes of a DICOM object that decide its pixels, read by an allow-list and validated once."""

import hashlib
import logging
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import RLELossless

from s2sw.connectors.dicom.codecs import PLAIN_SYNTAXES
from s2sw.connectors.dicom.layout import PIXEL_DATA, PIXEL_TAGS, UNDEFINED, Layout
from s2sw.schemas.outcomes import Reason, ScreeningError

# pydicom's warnings and log records quote attribute values, which may be a patient's name: silence them at
# the source, for every process that decodes
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
for _name in ("pydicom", "pylibjpeg", "openjpeg", "jpeg_ls"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")  # in the order of slices.UID_KINDS
_INTERPRETATIONS = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3,
    "YBR_ICT": 3, "YBR_RCT": 3, "XYB": 3, "YBR_PARTIAL_420": 3, "YBR_PARTIAL_422": 3, "ARGB": 4, "CMYK": 4,
    "HSV": 3,
}  # fmt: skip
_UNCONVERTED = ("YBR_PARTIAL_420", "YBR_PARTIAL_422", "ARGB", "CMYK", "HSV")


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The Image Pixel module (PS3.3 C.7.6.3) of one object, validated."""

    rows: int
    cols: int
    frames: int
    samples: int
    photometric: str
    planar: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    pixel_keyword: str
    notes: tuple[str, ...] = ()

    @property
    def shift(self) -> int:
        """Bits below the lowest of a stored value (PS3.5 8.1.1)."""
        return self.high_bit + 1 - self.bits_stored

    @property
    def frame_bits(self) -> int:
        """Bits of one frame as stored natively; YBR_FULL_422 stores two samples a pixel."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.cols * samples * self.bits_allocated


def read_header(layout: Layout) -> Dataset:
    """Return the elements that decoding needs; none of the others can get in its way."""
    elements = b"".join(layout.data[start:end] for start, end in layout.elements)
    return read_dataset(BytesIO(elements), layout.implicit, layout.little)


def _value(dataset: Dataset, keyword: str) -> Any:
    """Return a value as pydicom converts it, None where it cannot: then it counts as absent."""
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError, struct.error):
        return None


def text(dataset: Dataset, keyword: str) -> str:
    """Return a code string, upper case, "" if absent; of several values the first."""
    values = strings(dataset, keyword)
    return values[0] if values else ""


def strings(dataset: Dataset, keyword: str) -> list[str]:
    """Return the values of a code string, upper case, none if it is absent."""
    value = _value(dataset, keyword)
    if isinstance(value, str):
        return [value.strip().upper()]
    values = list(value) if value is not None and hasattr(value, "__iter__") else []
    return [str(each).strip().upper() for each in values]


def uid_digests(dataset: Dataset) -> tuple[bytes, ...]:
    """Return the SHA-256 of the UIDs of study, series and instance (PS3.3 C.7.2.1, C.7.3.1, C.12.1).

    b"" where one is absent. The UIDs themselves go no further: whatever else a damaged or careless object has
    in their place, a name for one, does not either.
    """
    uids = (text(dataset, keyword) for keyword in _UIDS)
    return tuple(hashlib.sha256(uid.encode("utf-8", "replace")).digest() if uid else b"" for uid in uids)


def patient_digest(dataset: Dataset) -> bytes:
    """Return the SHA-256 of Patient ID and its issuer (PS3.3 C.7.1.1), b"" without an id; no more than it."""
    patient = text(dataset, "PatientID")
    issuer = text(dataset, "IssuerOfPatientID")
    return hashlib.sha256(f"{issuer}\0{patient}".encode("utf-8", "replace")).digest() if patient else b""


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return the values of an attribute as numbers, none if it is absent or holds anything else."""
    value = _value(dataset, keyword)
    if value is None or value == "":
        return []
    values = value if hasattr(value, "__iter__") and not isinstance(value, str | bytes) else [value]
    try:
        return [float(each) for each in values]
    except (TypeError, ValueError):
        return []


def number(dataset: Dataset, keyword: str, default: float | None = None) -> float | None:
    """Return a number, of several values the first; ``default`` if there is none."""
    values = numbers(dataset, keyword)
    return values[0] if values else default


def _integer(dataset: Dataset, keyword: str, default: int | None, low: int, high: int) -> int:
    value = number(dataset, keyword, default)
    if value is None or value != int(value) or not low <= value <= high:
        raise ScreeningError(Reason.MALFORMED, f"{keyword} is absent or not in {low}..{high}")
    return int(value)


def image_header(dataset: Dataset, layout: Layout) -> ImageHeader:
    """Return the validated Image Pixel module. Raises MALFORMED, UNSUPPORTED."""
    keyword = PIXEL_TAGS[layout.pixel_tag]
    samples = _integer(dataset, "SamplesPerPixel", 1, 1, 4)
    photometric = text(dataset, "PhotometricInterpretation") or ("RGB" if samples == 3 else "MONOCHROME2")
    if photometric not in _INTERPRETATIONS:
        raise ScreeningError(Reason.UNSUPPORTED, "photometric interpretation")
    if _INTERPRETATIONS[photometric] != samples:
        raise ScreeningError(Reason.MALFORMED, f"{samples} samples a pixel as {photometric}")
    if photometric in _UNCONVERTED:
        raise ScreeningError(Reason.UNSUPPORTED, photometric)
    floats = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword)
    allocated = floats or _integer(dataset, "BitsAllocated", None, 1, 64)
    if allocated != 1 and allocated % 8:
        raise ScreeningError(Reason.UNSUPPORTED, f"{allocated} bits allocated")
    stored = floats or _integer(dataset, "BitsStored", allocated, 1, allocated)
    high, notes = _high_bit(dataset, layout, allocated, stored)
    return ImageHeader(
        rows=_integer(dataset, "Rows", None, 0, 65535),
        cols=_integer(dataset, "Columns", None, 0, 65535),
        frames=max(1, _integer(dataset, "NumberOfFrames", 1, 0, 2**31 - 1)),
        samples=samples,
        photometric=photometric,
        planar=_integer(dataset, "PlanarConfiguration", 0, 0, 1),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=keyword == "PixelData" and _integer(dataset, "PixelRepresentation", 0, 0, 1) == 1,
        pixel_keyword=keyword,
        notes=notes,
    )


def _high_bit(dataset: Dataset, layout: Layout, allocated: int, stored: int) -> tuple[int, tuple[str, ...]]:
    """Return the highest bit of stored values, and what is worth noting of it.

    Values may lie higher than at the bottom of their cells (PS3.5 8.1.1). A high bit at which they do not
    fit is taken for a slip, as is any beside compressed frames, which hold bare values.
    """
    usual = stored - 1
    found = number(dataset, "HighBit", usual)
    if found == usual or allocated == 1 or layout.pixel_tag != PIXEL_DATA:
        return usual, ()
    plain = layout.pixel_length != UNDEFINED or layout.transfer_syntax in PLAIN_SYNTAXES | {RLELossless}
    if found is None or found != int(found) or not usual < found < allocated or not plain:
        return usual, ("high_bit_ignored",)
    return int(found), ("high_bit_shifted",)
