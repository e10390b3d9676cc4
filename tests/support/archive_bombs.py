"""Archives that ask for far more memory, time or trust than they hold, by name, with the reason expected."""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

from s2sw.schemas.outcomes import Reason

MIB = 1 << 20


def zip_of(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def zip_overlapping() -> bytes:
    """Two directory entries over the same bytes."""
    data = zip_of(("a.png", bytes(1000)))
    at, end = data.find(b"PK\x01\x02"), data.rfind(b"PK\x05\x06")
    entry = data[at:end]
    return data[:at] + entry * 2 + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, 2 * len(entry), at, 0)


def zip_declaring(size: int) -> bytes:
    """A member that claims to unpack to ``size`` bytes."""
    data = bytearray(zip_of(("a.png", bytes(1000))))
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, size)
    return bytes(data)


def zip_entries(count: int) -> bytes:
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    return (
        b"PK\x03\x04"
        + entry * count
        + struct.pack(
            "<4s4H2IH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(entry) * count, 4, 0
        )
    )


def tar_header(name: bytes, size: int, kind: bytes = b"0") -> bytes:
    info = tarfile.TarInfo(name.decode())
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT if size < 8 << 30 else tarfile.GNU_FORMAT)


def tar_gz(name: bytes, kind: bytes, times: int) -> bytes:
    """A tar in gzip with one entry of ``times`` MiB of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(tar_header(name, times * MIB, kind)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + start + block * times + packer.flush() + bytes(8)


ARCHIVES: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "zip: overlapping members": (zip_overlapping, Reason.BOMB),
    "zip: member of 4 GB in 1 kB": (lambda: zip_declaring(0xFFFFFFF0), Reason.BOMB),
    "zip: 300,000 entries": (lambda: zip_entries(300_000), Reason.TOO_LARGE),
    "zip: no directory": (lambda: zip_of(("a", b"b"))[:40], Reason.TRUNCATED),
    "tar.gz: member of 3 GB": (lambda: tar_gz(b"a.png", b"0", 3000), Reason.BOMB),
    "tar.gz: member of 1 GB": (lambda: tar_gz(b"a.png", b"0", 1000), Reason.BOMB),
    "tar.gz: pax header of 1 GB": (lambda: tar_gz(b"x", b"x", 1000), Reason.TOO_LARGE),
    "tar.gz: name of 1 GB": (lambda: tar_gz(b"x", b"L", 1000), Reason.TOO_LARGE),
}
"""Refused by ``members``, for the archive as a whole."""
