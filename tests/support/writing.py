"""Writers of small DICOM, NIfTI and image files, honest and not, byte by byte."""

import struct
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
J2K = "1.2.840.10008.1.2.4.91"
CT, ENHANCED_CT, SECONDARY = (
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.7",
)  # fmt: skip
_LONG = ("OB", "OW", "SQ", "UN", "UT", "OF", "OD", "UC")
UNDEFINED = 0xFFFFFFFF


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """One explicit little-endian element; ``length`` may lie."""
    value += (b"\x00" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
    length = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    return head + (struct.pack("<HI", 0, length) if vr in _LONG else struct.pack("<H", length)) + value


def us(tag: int, *values: int) -> bytes:
    return element(tag, "US", struct.pack(f"<{len(values)}H", *values))


def sequence(tag: int, *items: bytes) -> bytes:
    return element(
        tag, "SQ", b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item for item in items)
    )


def file_meta(syntax: str = EXPLICIT, sop_class: str = CT) -> bytes:
    group = element(0x00020002, "UI", sop_class.encode()) + element(0x00020010, "UI", syntax.encode())
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(group))) + group


def image_module(rows: int, cols: int, bits: int = 16, **changes: Any) -> dict[int, bytes]:
    """Elements of a monochrome image by tag; ``changes`` of samples, photometric, stored, signed, frames."""
    stored = changes.get("stored", bits)
    module = {
        0x00280002: us(0x00280002, changes.get("samples", 1)),
        0x00280004: element(0x00280004, "CS", changes.get("photometric", "MONOCHROME2").encode()),
        0x00280010: us(0x00280010, rows),
        0x00280011: us(0x00280011, cols),
        0x00280100: us(0x00280100, bits),
        0x00280101: us(0x00280101, stored),
        0x00280102: us(0x00280102, stored - 1),
        0x00280103: us(0x00280103, changes.get("signed", 0)),
    }
    if "frames" in changes:
        module[0x00280008] = element(0x00280008, "IS", str(changes["frames"]).encode())
    if changes.get("samples", 1) > 1:
        module[0x00280006] = us(0x00280006, 0)
    return module


def encapsulated(*frames: bytes, table: bytes = b"") -> bytes:
    items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(f) + len(f) % 2) + f + bytes(len(f) % 2)
                     for f in (table, *frames))  # fmt: skip
    return element(0x7FE00010, "OB", b"", UNDEFINED) + items + b"\xfe\xff\xdd\xe0" + bytes(4)


def dicom(
    elements: dict[int, bytes],
    pixels: bytes,
    syntax: str = EXPLICIT,
    sop_class: str = CT,
    modality: str = "CT",
) -> bytes:
    """A file of these elements in tag order, then ``pixels`` (an element already)."""
    elements = {
        0x00080016: element(0x00080016, "UI", sop_class.encode()),
        0x00080060: element(0x00080060, "CS", modality.encode()),
        **elements,
    }
    return file_meta(syntax, sop_class) + b"".join(elements[tag] for tag in sorted(elements)) + pixels


def native(frame: np.ndarray[Any, Any], **changes: Any) -> bytes:
    """A DICOM file of one frame (rows, cols) or several (frames, rows, cols), extra elements by tag."""
    extra = changes.pop("extra", {})
    sop_class, modality = changes.pop("sop_class", CT), changes.pop("modality", "CT")
    if frame.ndim == 3 and "samples" not in changes:
        changes["frames"] = len(frame)
    rows, cols = frame.shape[-2:] if "samples" not in changes else frame.shape[:2]
    module = image_module(
        rows, cols, frame.dtype.itemsize * 8, signed=int(frame.dtype.kind == "i"), **changes
    )
    pixels = element(0x7FE00010, "OW", frame.tobytes())
    return dicom(module | extra, pixels, sop_class=sop_class, modality=modality)


def ds(tag: int, *values: float) -> bytes:
    return element(tag, "DS", "\\".join(f"{value:g}" for value in values).encode())


def picture(form: str, rows: int = 40, cols: int = 60, mode: str = "RGB", **options: Any) -> bytes:
    """An image file of two smooth ramps."""
    red = np.add.outer(np.linspace(0, 120, rows), np.linspace(0, 120, cols))
    pixels = np.stack([red, 240 - red, np.broadcast_to(np.linspace(0, 200, cols), red.shape)], -1)
    out = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(out, form, **options)
    return out.getvalue()
