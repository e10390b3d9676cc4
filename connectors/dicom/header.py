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

from s2sw.connectors.dicom.layout import PIXEL_TAGS, Layout
from s2sw.schemas.outcomes import Reason, ScreeningError

# pydicom's warnings and log records quote attribute values, which may be a patient's name: silence them at
# the source, for every process that decodes
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
for _name in ("pydicom", "pylibjpeg", "openjpeg", "jpeg_ls"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

_GROUP_0028 = range(0x00280000, 0x00290000)
_WANTED = (
    0x00080016,  # SOP Class UID
    0x0020000D, 0x0020000E, 0x00080018,  # Study, Series and SOP Instance UID, for their digests alone
    0x00080060,  # Modality
    0x00180015,  # Body Part Examined
    0x00189004, 0x00089205,  # Content Qualification, Pixel Presentation
    0x20500020,  # Presentation LUT Shape
    0x52009229, 0x52009230,  # Shared and Per-frame Functional Groups
    0x7FE00001, 0x7FE00002,  # Extended Offset Table and Lengths
)  # fmt: skip
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")  # in the order of slices.UID_KINDS
_INTERPRETATIONS = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3,
    "YBR_ICT": 3, "YBR_RCT": 3, "YBR_PARTIAL_420": 3, "YBR_PARTIAL_422": 3, "ARGB": 4, "CMYK": 4, "HSV": 3,
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
    signed: bool
    pixel_keyword: str

    @property
    def frame_bits(self) -> int:
        """Bits of one frame as stored natively; YBR_FULL_422 stores two samples a pixel."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.cols * samples * self.bits_allocated


def read_header(layout: Layout) -> Dataset:
    """Return the data set up to the pixels, of the attributes that decoding needs and no others."""
    stream = BytesIO(layout.data)
    stream.seek(layout.body)
    dataset = read_dataset(
        stream, layout.implicit, layout.little, stop_when=lambda tag, vr, length: int(tag) in PIXEL_TAGS
    )
    for tag in [t for t in list(dataset.keys()) if int(t) not in _GROUP_0028 and int(t) not in _WANTED and not
                0x60000000 <= int(t) < 0x60200000]:  # fmt: skip
        del dataset[tag]
    return dataset


def _value(dataset: Dataset, keyword: str) -> Any:
    """Return a value as pydicom converts it, None where it cannot: then it counts as absent."""
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError, struct.error):
        return None


def text(dataset: Dataset, keyword: str) -> str:
    """Return a code string, upper case, "" if absent; of several values the first."""
    value = _value(dataset, keyword)
    if isinstance(value, str):
        return value.strip().upper()
    values = list(value) if value is not None and hasattr(value, "__iter__") else []
    return str(values[0]).strip().upper() if values else ""


def uid_digests(dataset: Dataset) -> tuple[bytes, ...]:
    """Return the SHA-256 of the UIDs of study, series and instance (PS3.3 C.7.2.1, C.7.3.1, C.12.1).

    b"" where one is absent. The UIDs themselves go no further: whatever else a damaged or careless object has
    in their place, a name for one, does not either.
    """
    uids = (text(dataset, keyword) for keyword in _UIDS)
    return tuple(hashlib.sha256(uid.encode("utf-8", "replace")).digest() if uid else b"" for uid in uids)


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
    allocated = _integer(dataset, "BitsAllocated", {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(
        keyword), 1, 64)  # fmt: skip
    if allocated != 1 and allocated % 8:
        raise ScreeningError(Reason.UNSUPPORTED, f"{allocated} bits allocated")
    return ImageHeader(
        rows=_integer(dataset, "Rows", None, 0, 65535),
        cols=_integer(dataset, "Columns", None, 0, 65535),
        frames=max(1, _integer(dataset, "NumberOfFrames", 1, 0, 2**31 - 1)),
        samples=samples,
        photometric=photometric,
        planar=_integer(dataset, "PlanarConfiguration", 0, 0, 1),
        bits_allocated=allocated,
        bits_stored=_integer(dataset, "BitsStored", allocated, 1, allocated),
        signed=keyword == "PixelData" and _integer(dataset, "PixelRepresentation", 0, 0, 1) == 1,
        pixel_keyword=keyword,
    )
