"""JPEG XL frames of DICOM objects (PS3.5 8.2.15), with libjxl."""

import importlib.util

import numpy as np

from s2sw.connectors.dicom.header import ImageHeader
from s2sw.connectors.grey import Frame
from s2sw.connectors.preflight.jpegxl import read_jxl
from s2sw.connectors.preflight.limits import check_ratio
from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError


def check_jxl_frame(frame: bytes, header: ImageHeader, limits: Limits) -> None:
    """Refuse a frame whose own header contradicts the object's, or that cannot hold it.

    Raises MALFORMED, BOMB, UNSUPPORTED, CODEC_MISSING.
    """
    found = read_jxl(frame)
    if (found.rows, found.cols) != (header.rows, header.cols):
        raise ScreeningError(Reason.MALFORMED, "codestream and object disagree on the size of a frame")
    if found.floating or found.bits > header.bits_allocated:
        raise ScreeningError(Reason.MALFORMED, "a codestream of more bits than the object allocates")
    if found.animated or found.extras:
        raise ScreeningError(Reason.UNSUPPORTED, "a JPEG XL frame with extra channels or an animation")
    check_ratio(header.frame_bits // 8, len(frame), limits)
    if importlib.util.find_spec("imagecodecs") is None:
        raise ScreeningError(Reason.CODEC_MISSING, "imagecodecs")


def decode_jxl_frame(frame: bytes, header: ImageHeader) -> Frame:
    """Return the samples of a frame, (rows, cols) or (rows, cols, 3): colours come as RGB whatever they were.

    Raises MALFORMED, and what libjxl raises.
    """
    import imagecodecs  # 80 MB of codecs: loaded when such a frame comes

    samples: Frame = imagecodecs.jpegxl_decode(frame, index=0, keeporientation=True)
    if (1 if samples.ndim == 2 else samples.shape[2]) != header.samples:
        raise ScreeningError(Reason.MALFORMED, "codestream and object disagree on the samples of a pixel")
    return samples.view(samples.dtype.str.replace("u", "i")) if header.signed else np.asarray(samples)
