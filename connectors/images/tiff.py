"""TIFF files to slices: Pillow reads what it can be trusted with, tifffile and imagecodecs the rest.

Pillow takes some sample types and layouts for others without a word. Which reader a file gets is decided by
the directories that the preflight has read; what neither reads is refused with the name of the property.
"""

from collections.abc import Iterator

import numpy as np
from PIL.ImageFile import ImageFile

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.orientation import upright
from s2sw.connectors.images.pillow import open_picture, to_pixels
from s2sw.connectors.images.samples import Shown
from s2sw.connectors.images.tiff_colours import show
from s2sw.connectors.images.tiff_segments import FAX, JPEG, PLAIN, read_samples, readable
from s2sw.connectors.images.ycbcr import read_ycbcr
from s2sw.connectors.preflight.formats import Format
from s2sw.connectors.preflight.limits import Unpacking, check_geometry
from s2sw.connectors.preflight.tiff import (
    CMYK,
    FLOAT,
    PALETTE,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    YCBCR,
    Directory,
    Tag,
)
from s2sw.connectors.preflight.tiff_pages import Page, Pages, find_pages
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

OLD_JPEG, LERC = 6, 34887
_BIG_TIFF_BIG_ENDIAN = b"MM\x00+"
_PILLOW_COMPRESSIONS = frozenset((PLAIN, *FAX, 5, OLD_JPEG, JPEG, 8, 32773, 32946))
_PILLOW_SAMPLES = {WHITE_IS_ZERO: 1, 1: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
"""Samples of a pixel by photometric interpretation."""
_DEPTHS = {
    UNSIGNED: (*range(1, 24), *range(25, 33), 64), SIGNED: (8, 16, 32, 64), FLOAT: (16, 24, 32, 64),
    5: (32, 64), 6: (64, 128),
}  # fmt: skip
"""Bits of a sample by format; 5 and 6 are complex integers and floats. Readers differ on the bytes of 24."""
_COLOUR_SPACES = {
    8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "a colour filter array", 34892: "linear raw",
    32844: "LogL", 32845: "LogLuv",
}  # fmt: skip
_COMPRESSIONS = {
    OLD_JPEG: "old-style JPEG", 22610: "JPEG XR", 34934: "JPEG XR", 32809: "ThunderScan", 32908: "PixarFilm",
    32909: "PixarLog", 34661: "JBIG", 34676: "SGI LogLuv", 34677: "SGI LogLuv", 34713: "Nikon NEF",
    32767: "Sony ARW", 32766: "NeXT", 32771: "word-aligned CCITT", 65000: "EER", 65001: "EER", 65002: "EER",
}  # fmt: skip


def decode_tiff(data: bytes, settings: DecodeSettings) -> Iterator[Slice]:
    """Yield the pages of a TIFF, upright; channels each as a slice.

    Raises ScreeningError, and what readers raise.
    """
    pages = find_pages(data, settings.limits)
    unpacking = Unpacking(len(data), settings.limits)
    by_pillow = (
        not data.startswith(_BIG_TIFF_BIG_ENDIAN)
        and all(page.place >= 0 for page in pages.shown)
        and all(_is_trusted(directory) for directory in pages.before)
    )
    picture: ImageFile | None = None
    for page in pages.shown:
        _check(page.directory, settings.limits, unpacking)
        if by_pillow:
            picture = picture or open_picture(data, Format.TIFF)
            shown = [("", _by_pillow(picture, page, settings))]
        else:
            shown = _by_tifffile(data, page.directory, settings)
        yield from _slices(shown, page, pages)


def _slices(shown: list[tuple[str, Shown]], page: Page, pages: Pages) -> Iterator[Slice]:
    noted: tuple[str, ...] = ("mask_ignored",) if pages.masks else ()
    noted += ("icc_ignored",) if Tag.ICC_PROFILE in page.directory.values else ()
    for view, (pixels, applied) in shown:
        view = f"channel_{page.channel}" if page.channel else view
        yield Slice(pixels, f"{pages.plane}/{view}" if view else pages.plane, applied=(*noted, *applied))


def _check(directory: Directory, limits: Limits, unpacking: Unpacking) -> None:
    """Refuse a page by its geometry and by what it unpacks to. Raises MALFORMED, TOO_LARGE, BOMB."""
    depth, rows, cols = directory.size
    if not directory.samples or not all(0 < each <= 128 for each in directory.bits):
        raise ScreeningError(Reason.MALFORMED, "TIFF samples of a pixel, or their bits")
    width = max(8, directory.bits[0]) / 8 * directory.samples
    check_geometry(rows, cols, max(width, 1), limits)
    deep, high, wide = directory.segment
    check_geometry(high, wide, max(width, 1) * deep, limits)
    check_geometry(rows, cols, max(width, 1) * depth, limits)
    unpacking.add(directory.packed_bits // 8, directory.stored_bytes or None)


def _is_trusted(directory: Directory) -> bool:
    """Tell whether Pillow reads pages of this kind right: 1 and 8 bits, one plane, common compressions."""
    photometric, samples = directory.number(Tag.PHOTOMETRIC, -1), directory.samples
    bits = set(directory.bits)
    if directory.repeated or bits not in ({1}, {8}) or directory.sample_format != UNSIGNED:
        return False
    if directory.number(Tag.COMPRESSION, PLAIN) not in _PILLOW_COMPRESSIONS or directory.planar:
        return False
    code = directory.number(Tag.COMPRESSION, PLAIN)
    colours = _PILLOW_SAMPLES.get(photometric)
    extra = directory.numbers(Tag.EXTRA_SAMPLES)
    usual = (samples == colours and not extra) or (photometric == RGB and samples == 4 and len(extra) == 1)
    fits = (
        directory.size[0] == 1
        and (bits == {8} or samples == 1)
        and (directory.number(Tag.FILL_ORDER, 1) == 1 or code in FAX)
        and (Tag.TILE_OFFSETS in directory.values or not directory.tiled)
        and directory.number(Tag.PREDICTOR, 1) in (1, 2)
        and directory.number(Tag.INK_SET, 1) == 1
        and all(directory.offsets)
    )
    if photometric == PALETTE:
        return usual and fits and max(directory.numbers(Tag.COLOUR_MAP, (0,))) > 255
    return usual and fits and (photometric != YCBCR or code in (JPEG, OLD_JPEG))


def _by_pillow(picture: ImageFile, page: Page, settings: DecodeSettings) -> Shown:
    picture.seek(page.place)
    _, rows, cols = page.directory.size
    if sorted(picture.size) != sorted((cols, rows)):
        raise ScreeningError(Reason.MALFORMED, "two readers of a TIFF directory disagree on its size")
    try:
        pixels, applied = to_pixels(picture, settings)
    except OSError:
        if page.directory.number(Tag.COMPRESSION) == OLD_JPEG:  # libtiff reads some of its many kinds
            raise ScreeningError(
                Reason.UNSUPPORTED, "TIFF compressed by old-style JPEG of this kind"
            ) from None
        raise
    # Pillow has turned white into the highest value already; its note of a profile is the caller's
    inverted = ("invert",) if page.directory.photometric == WHITE_IS_ZERO else ()
    return pixels, (*(name for name in applied if name != "icc_ignored"), *inverted)


def _by_tifffile(data: bytes, directory: Directory, settings: DecodeSettings) -> list[tuple[str, Shown]]:
    """Return the pictures of a page, each with its name: of its planes in depth and of its channels."""
    _check_supported(directory)
    if directory.photometric == YCBCR and directory.number(Tag.COMPRESSION, PLAIN) != JPEG:
        volume: Frame = read_ycbcr(data, directory)[None]
    else:
        volume = read_samples(data, directory)
    shown = []
    for depth, samples in enumerate(volume, 1):
        for view, (pixels, applied) in show(np.ascontiguousarray(samples), directory, settings):
            turned, done = upright(pixels, directory.number(Tag.ORIENTATION, 1))
            place = f"depth_{depth}" if len(volume) > 1 else ""
            shown.append(("_".join(part for part in (place, view) if part), (turned, (*done, *applied))))
    return shown


def _check_supported(directory: Directory) -> None:
    """Refuse what no reader here can be trusted with. Raises UNSUPPORTED, naming the property."""
    code, photometric = directory.number(Tag.COMPRESSION, PLAIN), directory.photometric
    problem = ""
    if not readable(code):
        problem = f"compressed by {_COMPRESSIONS.get(code, f'method {code}')}"
    elif photometric in _COLOUR_SPACES or photometric > YCBCR:
        problem = f"in {_COLOUR_SPACES.get(photometric, f'colour space {photometric}')}"
    elif len(set(directory.bits)) > 1:
        problem = "with samples of different bits"
    elif directory.bits[0] not in _DEPTHS.get(directory.sample_format, ()):
        problem = f"with samples of {directory.bits[0]} bits in format {directory.sample_format}"
    elif photometric == CMYK and (directory.number(Tag.INK_SET, 1) != 1 or directory.samples < 4):
        problem = "in inks other than CMYK"
    elif photometric == YCBCR and (directory.samples < 3 or directory.bits[0] != 8):
        problem = "in YCbCr of other than three samples of 8 bits"
    elif photometric == PALETTE and (directory.bits[0] > 16 or directory.sample_format != UNSIGNED):
        problem = "with a palette of more than 16 bits"
    elif (
        code == LERC
        and len(directory.numbers(Tag.LERC_OPTIONS)) > 1
        and directory.numbers(Tag.LERC_OPTIONS)[1]
    ):
        problem = "compressed by LERC within another method"
    elif code in FAX and (directory.bits[0] != 1 or directory.samples != 1):
        problem = "compressed as fax and not of one bit"
    if problem:
        raise ScreeningError(Reason.UNSUPPORTED, f"TIFF {problem}")
