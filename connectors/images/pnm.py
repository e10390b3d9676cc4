"""Netpbm's formats to slices: PBM, PGM and PPM as text or bytes, PAM, PFM (netpbm.sourceforge.net/doc)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.samples import (
    Shown,
    ink_to_rgb,
    over_white,
    show_colour,
    show_grey,
    show_transparent_grey,
)
from s2sw.connectors.preflight.limits import check_frames, check_geometry
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

HEADER_BYTES = 1 << 14
"""A header with its comments is no longer."""
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER = rb"(\d{1,10})"
_PLAIN = re.compile(rb"P([1-6])" + _GAP + _NUMBER + _GAP + _NUMBER + rb"(?:" + _GAP + _NUMBER + rb")?")
_BITS = re.compile(rb"P[14]" + _GAP + _NUMBER + _GAP + _NUMBER)
_FLOATS = re.compile(
    rb"P([Ff])\s+" + _NUMBER + rb"\s+" + _NUMBER + rb"\s+([-+]?[\d.]{1,20}(?:[eE][-+]?\d{1,3})?)\s"
)
_ANY = re.compile(rb"P7\s*\n((?:[^\n]*\n)*?)ENDHDR[^\n]*\n")
_COMMENT = re.compile(rb"#[^\r\n]*")
_MAX_VALUE = 65535


@dataclass(frozen=True, slots=True)
class _Header:
    """kind: ``bits``, ``text bits``, ``bytes``, ``text`` or ``floats``. raster: where the samples start."""

    kind: str
    rows: int
    cols: int
    samples: int
    highest: int
    raster: int
    tuples: str = ""
    order: str = ">"

    @property
    def dtype(self) -> np.dtype[np.generic]:
        if self.kind == "floats":
            return np.dtype(self.order + "f4")
        return np.dtype("u1" if self.highest < 256 else ">u2")

    @property
    def raster_bytes(self) -> int:
        """Bytes of the samples as stored in bytes; of text the least that they can take."""
        if self.kind == "bits":
            return self.rows * -(-self.cols // 8)
        count = self.rows * self.cols * self.samples
        if self.kind.startswith("text"):
            return count if self.kind == "text bits" else 2 * count - 1
        return count * self.dtype.itemsize


def decode_pnm(data: bytes, settings: DecodeSettings) -> Iterator[Slice]:
    """Yield the pictures of a Netpbm file, one behind the other. Raises ScreeningError."""
    headers = list(_headers(data, settings.limits))
    plane = "image" if len(headers) == 1 else "page"
    for header in headers:
        pixels, applied = _show(_samples(data, header), header, settings)
        yield Slice(pixels, plane, applied=applied)


def _headers(data: bytes, limits: Limits) -> Iterator[_Header]:
    at, count = 0, 0
    while True:
        header = _read_header(data, at)
        check_geometry(header.rows, header.cols, header.samples * max(1, header.dtype.itemsize), limits)
        if header.raster + header.raster_bytes > len(data):
            raise ScreeningError(Reason.TRUNCATED, "fewer samples than the header declares")
        yield header
        count += 1
        check_frames(count, limits)
        at = header.raster + header.raster_bytes
        if header.kind.startswith("text") or data[at : at + 1] != b"P":
            return


def _read_header(data: bytes, at: int) -> _Header:
    head = data[at : at + HEADER_BYTES]
    found = _PLAIN.match(head)
    if found:
        kind, cols, rows, highest = (int(each) if each else 0 for each in found.groups())
        if kind in (1, 4):  # what follows the size is the raster already
            bits = _BITS.match(head)
            assert bits is not None
            return _Header("bits" if kind == 4 else "text bits", rows, cols, 1, 1, at + bits.end() + 1)
        if not 0 < highest <= _MAX_VALUE:
            raise ScreeningError(Reason.MALFORMED, "a PNM header without a highest value of 1 to 65535")
        way = "text" if kind in (2, 3) else "bytes"
        return _Header(way, rows, cols, 3 if kind in (3, 6) else 1, highest, at + found.end() + 1)
    found = _FLOATS.match(head)
    if found:
        order = "<" if found[4].startswith(b"-") else ">"
        samples = 3 if found[1] == b"F" else 1
        return _Header("floats", int(found[3]), int(found[2]), samples, 0, at + found.end(), order=order)
    found = _ANY.match(head)
    if found:
        return _pam(found[1], at + found.end())
    raise ScreeningError(Reason.MALFORMED, "a PNM header")


def _pam(lines: bytes, raster: int) -> _Header:
    """Read the header of a PAM: a line for each field."""
    fields: dict[bytes, bytes] = {}
    for line in lines.split(b"\n"):
        name, _, value = line.strip().partition(b" ")
        if name and not name.startswith(b"#"):
            fields[name] = value.strip()
    numbers = [int(fields.get(name, b"")) if fields.get(name, b"").isdigit() and len(fields[name]) < 11 else 0
               for name in (b"HEIGHT", b"WIDTH", b"DEPTH", b"MAXVAL")]  # fmt: skip
    rows, cols, samples, highest = numbers
    if not 0 < highest <= _MAX_VALUE:
        raise ScreeningError(Reason.MALFORMED, "a PAM header without a highest value of 1 to 65535")
    if not 1 <= samples <= 4:
        raise ScreeningError(Reason.UNSUPPORTED, f"a PAM file of {samples} samples a pixel")
    return _Header(
        "bytes", rows, cols, samples, highest, raster, fields.get(b"TUPLTYPE", b"").decode("ascii", "replace")
    )


def _samples(data: bytes, header: _Header) -> Frame:
    """Return samples (rows, cols, samples); of bit maps 0 and 1, where 1 is black."""
    shape = (header.rows, header.cols, header.samples)
    if header.kind == "bits":
        packed = np.frombuffer(data, np.uint8, header.raster_bytes, header.raster).reshape(header.rows, -1)
        return np.unpackbits(packed, axis=1)[:, : header.cols, None]
    if header.kind.startswith("text"):
        return _from_text(_COMMENT.sub(b"", data[header.raster :]), header).reshape(shape)
    stored = np.frombuffer(data, header.dtype, header.rows * header.cols * header.samples, header.raster)
    samples = stored.reshape(shape).astype(header.dtype.newbyteorder("="), copy=False)
    return samples[::-1] if header.kind == "floats" else samples  # floats come from the bottom row on


def _from_text(text: bytes, header: _Header) -> Frame:
    count = header.rows * header.cols * header.samples
    if header.kind == "text bits":
        digits = np.frombuffer(text, np.uint8)
        found: Frame = digits[(digits == ord("0")) | (digits == ord("1"))][:count] - ord("0")
    else:
        found = np.fromstring(text, np.int64, sep=" ")[:count] if text.strip() else np.empty(0, np.int64)
    if len(found) < count:
        raise ScreeningError(Reason.TRUNCATED, "fewer samples than the header declares")
    if found.min(initial=0) < 0 or found.max(initial=0) > _MAX_VALUE:
        raise ScreeningError(Reason.MALFORMED, "a PNM sample that is no number of 0 to 65535")
    return found.astype(np.uint16 if header.highest > 255 else np.uint8)


def _show(samples: Frame, header: _Header, settings: DecodeSettings) -> Shown:
    if header.kind in ("bits", "text bits"):
        return ((1 - samples[..., 0]) * 255).astype(np.uint8), ()
    alpha = None
    if header.samples == 2 or (header.samples == 4 and header.tuples != "CMYK"):
        alpha, samples = _to_bytes(samples[..., -1], header.highest), samples[..., :-1]
    if samples.shape[2] == 1:
        grey = np.ascontiguousarray(samples[..., 0])
        bits = 0
        if header.kind != "floats" and header.highest < 256:
            grey, bits = _to_bytes(grey, header.highest), 8
        if alpha is None:
            return show_grey(grey, bits, settings)
        return show_transparent_grey(grey, bits, alpha, False, settings)
    if header.kind == "floats":
        return show_colour(samples, 0, settings)
    pixels, applied = _to_bytes(samples, header.highest), ()
    if header.tuples == "CMYK":
        return ink_to_rgb(pixels), ("cmyk",)
    return (pixels, applied) if alpha is None else (over_white(pixels, alpha), ("alpha",))


def _to_bytes(samples: Frame, highest: int) -> Frame:
    """Return samples of 0..highest as 0..255."""
    if highest == 255:
        return samples
    table = np.rint(np.arange(highest + 1) * (255 / highest)).astype(np.uint8)
    return np.take(table, samples, mode="clip")
