"""Image files to slices: which reader gets a file, told by its format and its header."""

from collections.abc import Iterator

from s2sw.connectors.images import bmp, jpeg
from s2sw.connectors.images.pillow import decode_with_pillow
from s2sw.connectors.images.png import decode_deep_png, is_plain_png
from s2sw.connectors.images.pnm import decode_pnm
from s2sw.connectors.preflight.formats import Format
from s2sw.connectors.preflight.gif import read_gif
from s2sw.connectors.preflight.jpeg import jpeg_header
from s2sw.connectors.preflight.limits import check_geometry
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

FORMATS = frozenset((
    Format.PNG, Format.JPEG, Format.TIFF, Format.BMP, Format.WEBP, Format.JPEG2000, Format.JPEGXL,
    Format.AVIF, Format.GIF, Format.PNM,
))  # fmt: skip


def decode_raster(
    data: bytes, form: Format, settings: DecodeSettings, target: int | None = None
) -> Iterator[Slice]:
    """Return the slices of an image file, upright; see ``decode`` for ``target``.

    Readers for rare kinds of files are loaded when one comes. Raises ScreeningError, and what readers raise.
    """
    if form is Format.TIFF:
        from s2sw.connectors.images.tiff import decode_tiff

        return decode_tiff(data, settings)
    if form is Format.JPEG2000:
        from s2sw.connectors.images.jpeg2000 import decode_jpeg2000

        return decode_jpeg2000(data, settings)
    if form is Format.JPEGXL:
        from s2sw.connectors.images.jpegxl import decode_jpegxl

        return decode_jpegxl(data, settings)
    if form is Format.PNM:
        return decode_pnm(data, settings)
    return _unusual(data, form, settings) or decode_with_pillow(data, form, settings, target)


def _unusual(data: bytes, form: Format, settings: DecodeSettings) -> Iterator[Slice] | None:
    """Return the slices of a file that Pillow cannot be trusted with; None of all others."""
    if form is Format.PNG and not is_plain_png(data):
        return decode_deep_png(data, settings)
    if form is Format.JPEG:
        header = jpeg_header(data)
        if header is not None and not jpeg.is_plain(header):
            return jpeg.decode_jpeg(data, header, settings)
    if form is Format.BMP:
        bitmap = bmp.read_bmp(data)
        if not bmp.is_plain(bitmap):
            return bmp.decode_bmp(data, bitmap, settings)
        return decode_with_pillow(bmp.with_place_of_pixels(data, bitmap), form, settings)
    if form is Format.GIF:
        screen = read_gif(data, settings.limits)
        check_geometry(screen.rows, screen.cols, 4, settings.limits)
    if form is Format.WEBP and int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise ScreeningError(Reason.TRUNCATED, "RIFF file shorter than it says")
    return None
