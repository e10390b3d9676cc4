"""JPEG at 12 bits, lossless and of retired processes, as a pydicom decoding plugin over imagecodecs.

Only imagecodecs' libjpeg-turbo is used: of its codecs it alone never hung on mutated streams.
"""

import importlib.util

import numpy as np
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

_RETIRED = [UID(f"1.2.840.10008.1.2.4.{last}") for last in range(52, 57)]
"""Processes 3 and 5, 6 to 13: arithmetic coding, spectral selection, full progression (PS3.5 of 1998)."""
DECODER_DEPENDENCIES = dict.fromkeys(
    (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, *_RETIRED), ("imagecodecs",)
)


def is_available(uid: str) -> bool:
    """Return whether imagecodecs is installed and decodes this transfer syntax."""
    return uid in DECODER_DEPENDENCIES and importlib.util.find_spec("imagecodecs") is not None


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """Return one frame's samples, little endian, colour by pixel, without any colour conversion."""
    import imagecodecs  # 80 MB of codecs: loaded when the first such frame comes

    space = "RGB" if runner.samples_per_pixel == 3 else "GRAYSCALE"
    frame = imagecodecs.jpeg8_decode(src, colorspace=space, outcolorspace=space)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", 8 * frame.dtype.itemsize)
    return bytes(np.ascontiguousarray(frame).tobytes())
