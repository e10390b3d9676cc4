"""Formats that are recognised and not read here: their names, told by their first bytes."""

import re

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "PDF"), (b"%!PS", "PostScript"), (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07", "RAR"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"), (b"\x04\x22\x4d\x18", "LZ4"), (b"\x1f\x9d", "compress"),
    (b"LZIP", "lzip"), (b"MSCF", "cabinet"), (b"!<arch>", "ar"),
    (b"8BPS", "Photoshop"), (b"gimp xcf", "GIMP"), (b"AT&TFORM", "DjVu"), (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"), (b"\x76\x2f\x31\x01", "OpenEXR"), (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"), (b"qoif", "QOI"), (b"DDS ", "DirectDraw surface"), (b"\xabKTX ", "KTX"),
    (b"II\xbc\x01", "JPEG XR"), (b"\xff\x10\xff\x50", "JPEG XS"), (b"BPG\xfb", "BPG"), (b"FLIF", "FLIF"),
    (b"\x00\x00\x01\x00", "ICO"), (b"\x00\x00\x02\x00", "CUR"), (b"icns", "ICNS"), (b"\x01\xda\x00", "SGI"),
    (b"\x01\xda\x01", "SGI"), (b"\x59\xa6\x6a\x95", "Sun raster"), (b"\x0a\x05\x01", "PCX"),
    (b"\x0a\x03\x01", "PCX"), (b"\xd7\xcd\xc6\x9a", "Windows metafile"),
    (b"\x01\x00\x00\x00\x6c\x00\x00\x00", "Windows metafile"),
    (b"FUJIFILMCCD-RAW", "camera raw"), (b"IIU\x00", "camera raw"), (b"IIRO", "camera raw"),
    (b"IIRS", "camera raw"), (b"MMOR", "camera raw"), (b"FOVb", "camera raw"), (b"\x00MRM", "camera raw"),
    (b"\x1aE\xdf\xa3", "Matroska video"), (b"\x00\x00\x01\xba", "MPEG video"),
    (b"\x00\x00\x01\xb3", "MPEG video"), (b"OggS", "Ogg"), (b"FLV\x01", "Flash video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows media"), (b"ID3", "audio"), (b"fLaC", "audio"),
    (b"NRRD0", "NRRD"), (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"\x0e\x03\x13\x01", "HDF4"),
    (b"CDF\x01", "NetCDF"),
    (b"CDF\x02", "NetCDF"), (b"CDF\x05", "NetCDF"), (b"SIMPLE  =", "FITS"), (b"ObjectType", "MetaImage"),
    (b"NDims", "MetaImage"),
    (b"P7 332", "XV thumbnail"), (b"ZISRAWFILE", "Zeiss CZI"), (b"\xda\xce\xbe\x0a", "Nikon ND2"),
    (b"\x93NUMPY", "NumPy array"), (b"MATLAB 5.0", "MATLAB"), (b"PAR1", "Parquet"), (b"ARROW1", "Arrow"),
    (b"SQLite format 3", "SQLite"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Microsoft Office"),
    (b"{\\rtf", "RTF"), (b"\x7fELF", "program"), (b"\xca\xfe\xba\xbe", "program"),
)  # fmt: skip
_RIFF = {b"AVI ": "AVI video", b"WAVE": "audio", b"ACON": "animated cursor"}
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_BRANDS = {
    b"crx ": "camera raw", b"jxs ": "JPEG XS", b"jpm ": "JPEG 2000 compound image",
    b"mjp2": "Motion JPEG 2000",
    b"avci": "HEIF with H.264", b"j2ki": "HEIF with JPEG 2000", b"jpeg": "HEIF with JPEG", b"mif1": "HEIF",
    b"msf1": "HEIF",
}  # fmt: skip
_SVG = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s{0,100}(?:<\?xml[^>]{0,200}>\s{0,100})?(?:<!--.{0,500}?-->\s{0,100})?"
    rb"(?:<!DOCTYPE svg|<svg)",
    re.DOTALL,
)
_MARKUP = re.compile(rb"\A(?:\xef\xbb\xbf)?\s{0,100}<(?:\?xml|!DOCTYPE html|html)", re.IGNORECASE)
_ANALYZE_BYTES, _TARGA_FOOTER = 348, b"TRUEVISION-XFILE."


def brands(head: bytes) -> list[bytes]:
    """Return major and compatible brands of a file in boxes (ISO/IEC 14496-12 4.3); none of another."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12]] + [head[at : at + 4] for at in range(16, end - 3, 4)]


def foreign_name(data: bytes | memoryview, head: bytes) -> str:
    """Return the name of a format that is known and not read, "" of all others. head: the first bytes."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] in (b"RIFF", b"RIFX"):
        return _RIFF.get(head[8:12], "RIFF")
    found = brands(head)
    if found:
        if _HEIC.intersection(found):
            return "HEIC"
        return _BRANDS.get(found[0], "video")
    if _SVG.match(head):
        return "SVG"
    if _MARKUP.match(head):
        return "XML or HTML"
    if head[257:262] != b"ustar" and _is_analyze(head):
        return "Analyze 7.5"
    return "Targa" if bytes(data[-18:-1]) == _TARGA_FOOTER else ""


def _is_analyze(head: bytes) -> bool:
    """Tell an Analyze 7.5 header by its size, its number of axes and its letter (dbh.h)."""
    for order in ("little", "big"):
        if int.from_bytes(head[:4], order) == _ANALYZE_BYTES and head[38:39] == b"r":
            return 1 <= int.from_bytes(head[40:42], order) <= 7
    return False
