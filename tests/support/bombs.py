"""Objects that ask for far more memory, time or trust than they hold, by name, with the reason expected."""

import gzip
import struct
import zlib
from collections.abc import Callable

from s2sw.schemas.outcomes import Reason
from tests.support.writing import (
    DEFLATED,
    J2K,
    JPEG_BASELINE,
    RLE,
    SECONDARY,
    UNDEFINED,
    dicom,
    element,
    encapsulated,
    file_meta,
    image_module,
    picture,
)

MIB = 1 << 20


def repeated_deflate(block: bytes, times: int, wbits: int = -15) -> bytes:
    """A deflated stream of ``block`` many times, without unpacking that much here."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.flush(zlib.Z_FINISH)
    raw = first * times + end
    if wbits == -15:
        return raw
    # the trailer's checksum is wrong: nobody should get so far
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + raw + bytes(8)


def deflated_dicom() -> bytes:
    return file_meta(DEFLATED) + repeated_deflate(bytes(64 * MIB), 40)


def rle_dicom() -> bytes:
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + bytes([0x81, 0]) * 299
    return dicom(image_module(16384, 16384, 8), encapsulated(frame), RLE, SECONDARY)


def j2k_codestream(
    rows: int,
    cols: int,
    tile: int | None = None,
    layers: int = 1,
    levels: int = 5,
    precinct: int | None = None,
    block: int = 4,
) -> bytes:
    """A JPEG 2000 main header with an empty tile part."""
    size = struct.pack(">H8IHBBB", 0, cols, rows, 0, 0, tile or cols, tile or rows, 0, 0, 1, 7, 1, 1)
    exponents = b"" if precinct is None else bytes([precinct | precinct << 4]) * (levels + 1)
    style = struct.pack(
        ">BBHBBBBBB", precinct is not None, 0, layers, 0, levels, block, block, 0, 1
    ) + exponents  # fmt: skip
    quality = b"\x40" + bytes([8 << 3]) * (3 * levels + 1)
    return b"".join((
        b"\xff\x4f",
        b"\xff\x51", struct.pack(">H", len(size) + 2), size,
        b"\xff\x52", struct.pack(">H", len(style) + 2), style,
        b"\xff\x5c", struct.pack(">H", len(quality) + 2), quality,
        b"\xff\x90", struct.pack(">HHIBB", 10, 0, 14 + 900, 0, 1), b"\xff\x93", bytes(900), b"\xff\xd9",
    ))  # fmt: skip


def j2k_dicom(codestream: bytes, rows: int = 512, cols: int = 512) -> bytes:
    return dicom(image_module(rows, cols, 8), encapsulated(codestream), J2K, SECONDARY)


def jp2_endless() -> bytes:
    """A frame in JP2 boxes, as some writers have it, the second of which claims length 0."""
    return b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(4) + b"jp2h" + picture("JPEG2000", 64, 64, "L")[12:]


def jpeg_declaring(rows: int, cols: int, padding: int = 0) -> bytes:
    """A small JPEG whose frame header claims another size."""
    data = bytearray(picture("JPEG", 16, 16))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", rows, cols)
    return bytes(data) + bytes(padding)


def jpeg_scans() -> bytes:
    """A progressive JPEG of 16 megapixels with the same scan two thousand times."""
    data = bytearray(picture("JPEG", 64, 64, progressive=True))
    at = data.find(b"\xff\xc2")
    data[at + 5 : at + 9] = struct.pack(">HH", 4096, 4096)
    first = data.find(b"\xff\xda")
    second = data.find(b"\xff\xda", first + 2)
    return bytes(data[:first] + data[first:second] * 2000 + data[second:])


def nested_dicom(depth: int) -> bytes:
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", UNDEFINED)
    opened = (element(0x00081140, "SQ", b"", UNDEFINED) + item) * depth
    return file_meta() + opened + b""


def many_fragments() -> bytes:
    pixels = element(0x7FE00010, "OB", b"", UNDEFINED) + (b"\xfe\xff\x00\xe0" + bytes(4)) * 2_000_000
    return dicom(image_module(64, 64), pixels, JPEG_BASELINE)


def palette_dicom() -> bytes:
    """Segmented palette whose linear segments expand 20,000 fold."""
    segments = struct.pack("<3H", 0, 1, 7) + struct.pack("<3H", 1, 65535, 9) * 5000
    parts = {
        tag: element(tag, "US", struct.pack("<3H", 0, 0, 16)) for tag in (0x00281101, 0x00281102, 0x00281103)
    }
    data = {tag: element(tag, "OW", segments) for tag in (0x00281221, 0x00281222, 0x00281223)}
    module = image_module(8, 8, 8, photometric="PALETTE COLOR")
    return dicom(module | parts | data, element(0x7FE00010, "OB", bytes(64)), sop_class=SECONDARY)


def png(rows: int, cols: int, stored: bytes, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", cols, rows, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stored) + chunk(b"IEND", b"")


def png_zeros(side: int) -> bytes:
    line = zlib.compressobj(9)
    row = bytes(side * 3 + 1)
    packed = b"".join(line.compress(row * 64) for _ in range(side // 64)) + line.flush()
    return png(side, side, packed)


def bmp_declaring(rows: int, cols: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHIIIIHHIIIIII", 1000, 0, 0, 54, 40, cols, rows, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(99)
    )


def tiff(rows: int, cols: int, next_directory: int = 0, count: int = 1) -> bytes:
    """An uncompressed grey TIFF that claims a size; its directory may point to itself."""
    tags = [(256, 4, cols), (257, 4, rows), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
            (278, 4, rows), (279, 4, 64)]  # fmt: skip
    out = bytearray(b"II*\x00" + struct.pack("<I", 72) + bytes(64))
    for number in range(count):
        following = len(out) + 2 + 12 * len(tags) + 4 if number + 1 < count else next_directory
        out += struct.pack("<H", len(tags))
        for tag, kind, value in tags:
            out += struct.pack("<HHII", tag, kind, 1, value)
        out += struct.pack("<I", following)
    return bytes(out)


def nifti(dims: tuple[int, ...], stored: bytes = b"", datatype: int = 4, bits: int = 16) -> bytes:
    header = bytearray(352)
    struct.pack_into("<I", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(dims), *dims, *[1] * (7 - len(dims)))
    struct.pack_into("<hh", header, 70, datatype, bits)
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<3f", header, 108, 352.0, 1.0, 0.0)
    header[344:348] = b"n+1\x00"
    return bytes(header) + stored


DECODED: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "rle: 662 bytes as 16384 x 16384": (rle_dicom, Reason.BOMB),
    "deflated dicom: 2.6 GB": (deflated_dicom, Reason.BOMB),
    "j2k: 20000 x 20000 in a 512 x 512 object": (
        lambda: j2k_dicom(j2k_codestream(20000, 20000)),
        Reason.MALFORMED,
    ),
    "j2k: one-pixel tiles": (lambda: j2k_dicom(j2k_codestream(512, 512, tile=1)), Reason.BOMB),
    "j2k: one-pixel precincts": (lambda: j2k_dicom(j2k_codestream(512, 512, precinct=0)), Reason.BOMB),
    "j2k: 65535 layers": (
        lambda: j2k_dicom(j2k_codestream(512, 512, layers=65535, levels=32, precinct=3)),
        Reason.BOMB,
    ),
    "j2k: 4 x 4 blocks": (lambda: j2k_dicom(j2k_codestream(4096, 4096, block=0), 4096, 4096), Reason.BOMB),
    "jpeg: 20000 x 20000 in 3 MB": (lambda: jpeg_declaring(20000, 20000, 3 * MIB), Reason.TOO_LARGE),
    "jpeg: 8000 x 8000 in 1 kB": (lambda: jpeg_declaring(8000, 8000), Reason.BOMB),
    "jpeg: 65535 x 65535": (lambda: jpeg_declaring(65535, 65535), Reason.TOO_LARGE),
    "jpeg: 2000 scans": (jpeg_scans, Reason.BOMB),
    "dicom: sequences 249 deep": (lambda: nested_dicom(249), Reason.TOO_LARGE),
    "dicom: sequences 100,000 deep": (lambda: nested_dicom(100_000), Reason.TOO_LARGE),
    "dicom: 65535 x 65535": (
        lambda: dicom(image_module(65535, 65535), element(0x7FE00010, "OW", bytes(64))),
        Reason.TOO_LARGE,
    ),
    "dicom: 20000 x 20000 over 64 bytes": (
        lambda: dicom(image_module(20000, 20000), element(0x7FE00010, "OW", bytes(64))),
        Reason.TRUNCATED,
    ),
    "dicom: 2**31 - 1 frames": (
        lambda: dicom(image_module(8, 8, frames=2**31 - 1), element(0x7FE00010, "OW", bytes(128))),
        Reason.TOO_LARGE,
    ),
    "dicom: pixel element of 4 GB": (
        lambda: dicom(image_module(8, 8), element(0x7FE00010, "OW", bytes(64), 0xFFFFFFF0)),
        Reason.TRUNCATED,
    ),
    "dicom: two million fragments": (many_fragments, Reason.MALFORMED),
    "png: 30000 x 30000 zeros": (lambda: png(30000, 30000, zlib.compress(bytes(1000))), Reason.TOO_LARGE),
    "png: 12032 x 12032 zeros": (lambda: png_zeros(12032), Reason.BOMB),
    "png: 2**31 - 1 pixels wide": (lambda: png(1, 2**31 - 1, b""), Reason.TOO_LARGE),
    "bmp: 30000 x 30000": (lambda: bmp_declaring(30000, 30000), Reason.TOO_LARGE),
    "bmp: 9000 x 9000": (lambda: bmp_declaring(9000, 9000), Reason.BOMB),
    "tiff: 32000 x 32000": (lambda: tiff(32000, 32000), Reason.BOMB),
    "tiff: 200000 wide": (lambda: tiff(10, 200_000), Reason.TOO_LARGE),
    "tiff: 30,000 directories": (lambda: tiff(8, 8, count=30_000), Reason.TOO_LARGE),
    "gzip: 40 GB of zeros": (lambda: repeated_deflate(bytes(64 * MIB), 640, 31), Reason.UNKNOWN_FORMAT),
    "gzip: png header, then 2 GB": (
        lambda: gzip.compress(png(9, 9, b"")) + repeated_deflate(bytes(64 * MIB), 32, 31),
        Reason.BOMB,
    ),
    "gzip in gzip": (lambda: gzip.compress(gzip.compress(picture("PNG"))), Reason.UNSUPPORTED),
    "nifti: 32767 ** 7 samples": (lambda: nifti((32767,) * 7), Reason.TOO_LARGE),
    "nifti: 1.9 GB in 2 MB of gzip": (
        lambda: gzip.compress(nifti((900, 900, 1200))) + repeated_deflate(bytes(64 * MIB), 32, 31),
        Reason.BOMB,
    ),
    "nifti: 2 GB declared, 100 bytes there": (
        lambda: nifti((1000, 1000, 1000), bytes(100)),
        Reason.TRUNCATED,
    ),
}
"""Refused by ``decode``, with this reason."""

HARMLESS: dict[str, Callable[[], bytes]] = {
    "j2k: box of length 0": lambda: j2k_dicom(jp2_endless(), 64, 64),
    "palette: segments of 320 MB": palette_dicom,
    "tiff: directory that points to itself": lambda: tiff(8, 8, next_directory=72),
}
"""Decoded, because only what the format allows is ever unpacked."""
