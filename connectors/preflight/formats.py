"""The format of an object, recognised by its first bytes; names and extensions are not trusted."""

import re
import zlib
from enum import StrEnum

from s2sw.connectors.preflight.foreign import brands, foreign_name

HEAD_BYTES = 1024
"""Enough of an object to recognise every format here."""


class Format(StrEnum):
    """A file format, or the family that one decoder reads."""

    PNG = "png"
    JPEG = "jpeg"
    TIFF = "tiff"
    BMP = "bmp"
    WEBP = "webp"
    JPEG2000 = "jpeg2000"
    JPEGXL = "jpegxl"
    AVIF = "avif"
    GIF = "gif"
    PNM = "pnm"
    """Netpbm's family: PBM, PGM, PPM, PAM and PFM."""
    DICOM = "dicom"
    NIFTI = "nifti"
    NIFTI_PAIR = "nifti_pair"
    """The header half (``.hdr``) of a NIfTI pair; the samples lie in a second object."""
    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    """One gzip stream around any other format; ``unwrapped`` says which."""
    FOREIGN = "foreign"
    """A known format that is not read: HEIC, PDF, video, other archives; ``foreign_name`` says which."""
    UNKNOWN = "unknown"


CONTAINERS = frozenset({Format.ZIP, Format.TAR})
"""Formats whose members are objects of their own (``archives.members``)."""

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"\xff\xd8\xff", Format.JPEG),
    (b"II*\x00", Format.TIFF),
    (b"MM\x00*", Format.TIFF),
    (b"II+\x00", Format.TIFF),
    (b"MM\x00+", Format.TIFF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", Format.JPEG2000),
    (b"\xff\x4f\xff\x51", Format.JPEG2000),
    (b"\xff\x0a", Format.JPEGXL),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", Format.JPEGXL),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"PK\x03\x04", Format.ZIP),
    (b"PK\x05\x06", Format.ZIP),
    (b"\x1f\x8b", Format.GZIP),
    (b"BM", Format.BMP),
)
_AVIF = frozenset((b"avif", b"avis"))
_GAP = rb"(?:\s|#[^\r\n]{0,200}[\r\n]){1,50}"
_PNM = re.compile(
    rb"P[1-6]" + _GAP + rb"\d{1,10}" + _GAP + rb"\d"
    rb"|P7\s*\n\s*(?:#|WIDTH|HEIGHT|DEPTH|MAXVAL|TUPLTYPE)"
    rb"|P[Ff]\s+\d{1,10}\s+\d{1,10}\s+[-+.\d]"
)  # fmt: skip
_VALUE_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV"
    b"".split()
)


def sniff(data: bytes | memoryview) -> Format:
    """Return the format of an object from its first ``HEAD_BYTES`` bytes; never raises."""
    head = bytes(data[:HEAD_BYTES])
    if head[128:132] == b"DICM":
        return Format.DICOM
    for magic, found in _MAGIC:
        if head.startswith(magic) and (found is not Format.BMP or _is_bmp(head)):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format.WEBP
    if not _AVIF.isdisjoint(brands(head)):
        return Format.AVIF
    if _PNM.match(head):
        return Format.PNM
    nifti = _nifti(head)
    if nifti is not None:
        return nifti
    if is_tar(head):
        return Format.TAR
    if is_bare_dicom(head):
        return Format.DICOM
    return Format.FOREIGN if foreign_name(data, head) else Format.UNKNOWN


def unwrapped(data: bytes) -> Format:
    """Return the format inside a gzip stream, from a bounded look at its start; never raises."""
    try:
        head = zlib.decompressobj(wbits=31).decompress(data[:65536], HEAD_BYTES)
    except zlib.error:
        return Format.UNKNOWN
    return sniff(head)


def is_tar(head: bytes) -> bool:
    """Tell a tar header by its magic or, before POSIX.1-1988, by its checksum (sum with the field blank)."""
    if len(head) < 512:
        return False
    if head[257:262] == b"ustar":
        return True
    try:
        declared = int(head[148:156].rstrip(b"\x00 ").lstrip(b" ") or b"-1", 8)
    except ValueError:
        return False
    return declared == sum(head[:148]) + 8 * 0x20 + sum(head[156:512]) and head[0] != 0


def is_bare_dicom(head: bytes) -> bool:
    """Tell a data set without preamble and prefix (PS3.10 7.1) by a first tag in group 0002 or 0008."""
    if len(head) < 12:
        return False
    if head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and head[4:6] in _VALUE_REPRESENTATIONS:
        return True
    implicit_length = int.from_bytes(head[4:8], "little")
    if head[:2] == b"\x02\x00":  # old writers leave the value representations out of this group too
        return head[3] == 0 and head[2] <= 0x16 and implicit_length <= 64
    return head[:2] == b"\x08\x00" and head[3] == 0 and head[2] <= 0x18 and implicit_length <= 512


def _is_bmp(head: bytes) -> bool:
    return int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124)


def _nifti(head: bytes) -> Format | None:
    sizes = {int.from_bytes(head[:4], order) for order in ("little", "big")}
    if 348 in sizes and head[344:348] in (b"n+1\x00", b"ni1\x00"):
        return Format.NIFTI if head[345:346] == b"+" else Format.NIFTI_PAIR
    if 540 in sizes and head[4:8] in (b"n+2\x00", b"ni2\x00"):
        return Format.NIFTI if head[5:6] == b"+" else Format.NIFTI_PAIR
    return None
