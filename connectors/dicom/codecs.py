"""One decoder a transfer syntax, never another: the set that survived every mutated file it was given.

pydicom would try whatever plugin is installed, among them ones that abort the process, so the decoders here
are objects of our own with one plugin each. Pillow: JPEG baseline; pylibjpeg-openjpeg: JPEG 2000 and
HTJ2K; pyjpegls: JPEG-LS; imagecodecs: JPEG 12-bit, lossless and of retired processes, JPEG XL; pydicom
itself: native and RLE.
"""

from functools import cache

from pydicom import uid
from pydicom.pixels.decoders.base import Decoder

from s2sw.schemas.outcomes import Reason, ScreeningError

PILLOW = ("pillow", "pydicom.pixels.decoders.pillow", "_decode_frame")
OPENJPEG = ("pylibjpeg-openjpeg", "pydicom.pixels.decoders.pylibjpeg", "_decode_frame")
JPEGLS = ("pyjpegls", "pydicom.pixels.decoders.pyjpegls", "_decode_frame")
IMAGECODECS = ("imagecodecs", "s2sw.connectors.dicom.jpeg_plugin", "decode_frame")
RLE = ("pydicom", "pydicom.pixels.decoders.rle", "_decode_frame")

CODECS: dict[str, tuple[str, str, str]] = {
    uid.JPEGBaseline8Bit: PILLOW,
    uid.JPEGExtended12Bit: IMAGECODECS,
    "1.2.840.10008.1.2.4.52": IMAGECODECS,  # the retired processes 3 and 5, 6 to 9, and 10 to 13
    "1.2.840.10008.1.2.4.53": IMAGECODECS,
    "1.2.840.10008.1.2.4.54": IMAGECODECS,
    "1.2.840.10008.1.2.4.55": IMAGECODECS,
    "1.2.840.10008.1.2.4.56": IMAGECODECS,
    uid.JPEGLossless: IMAGECODECS,
    uid.JPEGLosslessSV1: IMAGECODECS,
    uid.JPEGLSLossless: JPEGLS,
    uid.JPEGLSNearLossless: JPEGLS,
    uid.JPEG2000Lossless: OPENJPEG,
    uid.JPEG2000: OPENJPEG,
    uid.HTJ2KLossless: OPENJPEG,
    uid.HTJ2KLosslessRPCL: OPENJPEG,
    uid.HTJ2K: OPENJPEG,
    uid.RLELossless: RLE,
}
ENCAPSULATED_NATIVE = "1.2.840.10008.1.2.1.98"
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
PLAIN_SYNTAXES = frozenset((
    uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian, "1.2.840.10008.1.20", ENCAPSULATED_NATIVE, DEFLATED_FRAME,
))  # fmt: skip
"""Frames are plain samples, at most deflated; 1.2.840.10008.1.20 is Papyrus 3."""
J2K_SYNTAXES = frozenset(uid.JPEG2000TransferSyntaxes)
JPEG_SYNTAXES = frozenset(CODECS) - J2K_SYNTAXES - {uid.RLELossless}
JXL_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (110, 111, 112))
"""JPEG XL: lossless, of a recompressed JPEG, and of any kind. pydicom does not know them."""
COMPRESSED_SYNTAXES = JXL_SYNTAXES | CODECS.keys()


@cache
def codec(transfer_syntax: str) -> tuple[Decoder, str]:
    """Return the decoder of an encapsulated transfer syntax and its plugin's name.

    Raises UNSUPPORTED (no decoder is known), CODEC_MISSING (its package is not installed).
    """
    if transfer_syntax not in CODECS:
        raise ScreeningError(Reason.UNSUPPORTED, "transfer syntax")
    name, module, function = CODECS[transfer_syntax]
    decoder = Decoder(uid.UID(transfer_syntax))
    try:
        decoder.add_plugin(name, (module, function))
    except ImportError:
        raise ScreeningError(Reason.CODEC_MISSING, name) from None
    if not decoder.is_available:
        raise ScreeningError(Reason.CODEC_MISSING, name)
    return decoder, name


@cache
def native(transfer_syntax: str) -> Decoder:
    """Return the decoder of a transfer syntax whose frames are plain samples."""
    return Decoder(uid.UID(transfer_syntax))
